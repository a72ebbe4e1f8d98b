import type { SocketOptions } from 'node:dgram'
import { isIPv4 } from 'node:net'

// An address comes in as any text that means one. It becomes canonical where it enters, and stays so: an address is
// never told by its text as long as that is somebody else's.

/** The addresses of this host that only this host can reach. */
export const LOOPBACK: readonly string[] = ['127.0.0.1', '::1']

/** The host that is any which offers the name. */
export const ANY_HOST = '*'

/** The addresses that stand for all of a family; who connects to one comes to the loopback address. */
const ALL: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/**
 * The first groups of the addresses of IPv6 that carry one of IPv4, which follows them: compatible, mapped, translated,
 * those of NAT64, and of 6to4.
 */
const CARRIERS = ['0:0:0:0:0:0:', '0:0:0:0:0:ffff:', '0:0:0:0:ffff:0:', '64:ff9b:0:0:0:0:', '2002:']

/** An address of IPv6, which may have a zone. No character of it ends the host of a URL. */
const IPV6 = /^(?<bare>[\da-f:.]{2,45})(?:%(?<zone>[\w.:-]{1,64}))?$/i

/** Mapped IPv4, as a socket of both families shows it, and as it is in canonical IPv6. */
const MAPPED = /^::ffff:(?:(?<four>[\d.]+)|(?<high>[\da-f]+):(?<low>[\da-f]+))$/i

/** A `lookup` of `dgram` for what is an address already: unlike that of `dns` it takes no turn of the loop. */
export const literally: SocketOptions['lookup'] = (address, _options, found) =>
  found(null, address, 0)

/**
 * The one text for an IP address, whichever of its texts is given; `undefined` for any other text. IPv4 is in its own
 * form, however it is written as IPv6; IPv6 is as RFC 5952 has it. A link-local address keeps its zone, as it means
 * nothing without; any other loses it. Node's own test is not asked: its pattern takes Node 20 8 ms to compile.
 */
export function canonical(text: string): string | undefined {
  if (isIPv4(text) || text === '::1' || text === '::') return text
  const four = MAPPED.exec(text)?.groups!.four
  if (four !== undefined && isIPv4(four)) return four
  const { bare, zone } = IPV6.exec(text)?.groups ?? {}
  if (bare === undefined || !URL.canParse(`http://[${bare}]`)) return undefined
  const address = new URL(`http://[${bare}]`).hostname.slice(1, -1)
  const { high, low } = MAPPED.exec(address)?.groups ?? {}
  if (high !== undefined) return [high, low!].flatMap(bytesOf).join('.')
  return zone !== undefined && isLinkLocal(address) ? `${address}%${zone}` : address
}

/** The canonical text of an address that the system tells; `''`, where it knows none, stays. */
export function plain(address: string): string {
  return canonical(address) ?? address
}

/** The family of an address, or 0 for any other text. */
export function isIP(text: string): 0 | 4 | 6 {
  if (isIPv4(text)) return 4
  return isIPv6(text) ? 6 : 0
}

/** True if `text` is an address of IPv6. */
export function isIPv6(text: string): boolean {
  return text.includes(':') && canonical(text) !== undefined
}

/**
 * True of text that the system reads as an address of IPv4, be it in a short, octal or hexadecimal form: its last part
 * is a number, as that of no host name is (as the URL standard has it).
 */
export function isNumeric(text: string): boolean {
  return /(?:^|\.)(?:\d+|0x[\da-f]*)\.?$/i.test(text)
}

/** True if only this host can reach `address`. */
export function isLoopback(address: string): boolean {
  if (LOOPBACK.includes(address)) return true
  const text = canonical(address)
  return text === '::1' || (text !== undefined && text.startsWith('127.'))
}

/**
 * True if `address` stands for all of a family. Where it is connected to, it is the loopback address: see `dialled`.
 */
export function isAll(address: string): boolean {
  return Object.hasOwn(ALL, plain(address))
}

/** The address that is reached by connecting to `address`, in canonical text; any other text as it is. */
export function dialled(address: string): string {
  const text = plain(address)
  return ALL[text] ?? text
}

/** True if `host` is this one, by the name that every host has for itself. */
export function isThisHost(host: string): boolean {
  return host === '' || host.toLowerCase() === 'localhost'
}

/** True if who connects to `host` comes to this one, as its name or its address says. */
export function isHere(host: string): boolean {
  return isThisHost(host) || isLoopback(dialled(host))
}

/** True if a peer at `address`, come to the address `own` of this host, is on this host too. */
export function isOwn(address: string, own: string): boolean {
  // One that has gone has no address any more, and neither has our end.
  return isLoopback(address) || (address === own && address !== '')
}

/** True if a daemon asked at `asked` may send us to `address`: a far one not to our own loopback. */
export function mayLead(asked: string, address: string): boolean {
  return isHere(asked) || !leadsHere(address)
}

/**
 * True if an address leads to whichever host connects to it: a loopback address, or one that stands for all, and one
 * of IPv6 that carries such an address of IPv4, as some hosts and translators take it out. It says more than
 * `isLoopback`, and no address is to be trusted for it.
 */
export function leadsHere(address: string): boolean {
  const first = firstByte(address)
  return first === 0 || first === 127
}

/** True if other hosts cannot be sent to what is bound to `address`. To all addresses, they can. */
export function staysHere(address: string): boolean {
  return leadsHere(address) && !isAll(address)
}

/**
 * An address that the host at `asked` has told. The zone of a link-local one is a word for a link of that host, which
 * may be another link here: it is on the link by which the host was asked.
 */
export function toldAt(asked: string, address: string): string {
  if (!isLinkLocal(address)) return address
  const [, zone] = asked.split('%')
  return zone === undefined ? withoutZone(address) : `${withoutZone(address)}%${zone}`
}

/** True of an address that is good for nothing without its zone. */
export function isLinkLocal(address: string): boolean {
  return /^fe[89ab].:/i.test(address)
}

/** An address of IPv6 without its zone. */
export function withoutZone(address: string): string {
  return address.replace(/%.*/, '')
}

/** The host whose daemon is asked: for any host it is this one, whose daemon knows of the others. */
export function hostOfDaemon(host = ''): string {
  return host === ANY_HOST ? '' : host
}

/**
 * By what a far host is told from another: its address, of IPv6 the first 64 bits of it, as the rest
 * is for it to choose.
 */
export function networkOf(address: string): string {
  return address.includes(':') ? groupsOf(address).slice(0, 4).join(':') : address
}

/** The eight groups of a canonical address of IPv6, without its zone. */
export function groupsOf(address: string): string[] {
  const [front, back = []] = withoutZone(address).split('::').map(split)
  const zeros = Array<string>(8 - front!.length - back.length).fill('0')
  return [...front!, ...zeros, ...back]
}

function split(part: string): string[] {
  return part.split(':').filter(Boolean)
}

/** The first byte of the address of IPv4 that `address` is or carries, if it is or carries one. */
function firstByte(address: string): number | undefined {
  const text = canonical(address)
  if (text === undefined) return undefined
  if (!text.includes(':')) return Number.parseInt(text, 10)
  const groups = groupsOf(text).join(':')
  const carrier = CARRIERS.find(one => groups.startsWith(one))
  return carrier === undefined ? undefined : bytesOf(groups.slice(carrier.length))[0]
}

/** The two bytes of the first of some groups. */
function bytesOf(groups: string): [number, number] {
  const group = Number.parseInt(groups, 16)
  return [group >> 8, group & 0xff]
}
