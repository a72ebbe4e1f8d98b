/** The protocol that a connection speaks. */
export type Kind = 'http' | 'h2c' | 'socks' | 'refused'

/** The longest first line, in bytes. */
const MAX_LINE = 8_192

/** The first bytes of HTTP/2 of a client that knows beforehand that it is spoken: RFC 9113, 3.4. */
const PREFACE = 'PRI * HTTP/2'

/** The first byte of SOCKS5: RFC 1928. */
const SOCKS = 5

/** A request line whose target Node's parser cannot read: an absolute URI with a scheme other than `http` and `https`. */
const ABSOLUTE =
  /^(?<method>[A-Z]{3,20}) (?<uri>(?!https?:\/\/)[a-z][^\s]*) (?<version>HTTP\/1\.[01])\r?$/i

/** A request line that Node's parser reads: a path, a URI of the web, or the host of a CONNECT. */
const USUAL = /^(?:CONNECT |[A-Z-]{2,20} (?:\/|\*|https?:\/\/))/

/** The beginning of a connection, which is read until it is known what it speaks. */
export class Opening {
  /** The bytes that have come, as they are for the parser of the protocol. */
  head: Buffer = Buffer.alloc(0)
  /** The absolute URI that was asked for, where Node's parser would refuse it; the head has `/` instead. */
  uri: string | undefined

  /** The protocol, once it is known from the bytes that have come by now. */
  read(chunk: Buffer): Kind | undefined {
    this.head = this.head.length === 0 ? chunk : Buffer.concat([this.head, chunk])
    const { head } = this
    if (head[0] === SOCKS) return 'socks'
    if (!isLetter(head[0]!)) return 'refused'
    const end = head.indexOf('\n')
    const line = head.toString('latin1', 0, end === -1 ? MAX_LINE : end)
    if (line.startsWith(PREFACE)) return 'h2c'
    if (USUAL.test(line)) return 'http'
    if (end === -1) return head.length < MAX_LINE ? undefined : 'refused'
    return this.#replace(line, end)
  }

  /** Puts a path where an absolute URI is. */
  #replace(line: string, end: number): Kind {
    const { method, uri, version } = ABSOLUTE.exec(line)?.groups ?? {}
    if (uri === undefined) return 'refused'
    this.uri = uri
    this.head = Buffer.concat([Buffer.from(`${method} / ${version}\r`), this.head.subarray(end)])
    return 'http'
  }
}

function isLetter(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a
}
