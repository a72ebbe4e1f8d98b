import type { Socket } from 'node:net'
import { isOwn, plain } from '../address.ts'
import { Identities } from '../node/proc.ts'

/** A program that has come in, as who it is. */
export interface Visitor {
  /** The address that it has come from. */
  readonly address: string
  /** The address of ours that it has come to. */
  readonly at: string
  /** True if it is on this host. */
  readonly isLocal: boolean
  /** Its user, as the kernel says; `undefined` of another host, and where the kernel does not say. */
  readonly uid: number | undefined
  /** True if it is of this host, and of the user that the gateway runs as. */
  readonly isOurs: boolean
}

/** The visitors of a gateway. Each connection is looked at once. */
export class Visitors {
  readonly #identities: Pick<Identities, 'of'>
  readonly #known = new WeakMap<Socket, Promise<Visitor>>()

  /** `identities` finds the user of a connection; by default as the kernel says. */
  constructor(identities: Pick<Identities, 'of'> = new Identities()) {
    this.#identities = identities
  }

  /** The visitor at the other end of a connection. */
  of(socket: Socket): Promise<Visitor> {
    const known = this.#known.get(socket) ?? this.#identify(socket)
    this.#known.set(socket, known)
    return known
  }

  async #identify(socket: Socket): Promise<Visitor> {
    const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = socket
    const [address, at] = [plain(remoteAddress), plain(localAddress)]
    const isLocal = isOwn(address, at)
    const ends = [
      { address, port: remotePort },
      { address: at, port: localPort },
    ] as const
    // One whose user cannot be looked up has none.
    const uid = isLocal ? await this.#identities.of(...ends).catch(() => undefined) : undefined
    return { address, at, isLocal, uid, isOurs: uid !== undefined && uid === process.getuid?.() }
  }
}
