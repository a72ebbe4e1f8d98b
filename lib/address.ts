import type { SocketOptions } from 'node:dgram'
import net, { BlockList, isIPv4 } from 'node:net'

/** The addresses of this host that only this host can reach. */
export const LOOPBACK: readonly string[] = ['127.0.0.1', '::1']

/** The host that is any which offers the name. */
export const ANY_HOST = '*'

/** The addresses of IPv6 that lead to whichever host uses them, those of IPv4 in the form of IPv6 too. */
const here = new BlockList()
here.addSubnet('127.0.0.0', 8)
here.addSubnet('0.0.0.0', 8)
here.addAddress('::', 'ipv6')
here.addAddress('::1', 'ipv6')

/** A `lookup` of `dgram` for what is an address already: unlike that of `dns` it takes no turn of the loop. */
export const literally: SocketOptions['lookup'] = (address, _options, found) =>
  found(null, address, 0)

/**
 * The family of an address, or 0 for any other text, as `isIP` of `net` tells it. The pattern for IPv6 that Node 20 has
 * takes it 8 ms to compile: ours spares it what has no colon, and the address that each host has.
 */
export function isIP(text: string): 0 | 4 | 6 {
  if (isIPv4(text)) return 4
  return isIPv6(text) ? 6 : 0
}

/** True if `text` is an address of IPv6. See `isIP`. */
export function isIPv6(text: string): boolean {
  return text === '::1' || (text.includes(':') && net.isIPv6(text))
}

/** True if only this host can reach `address`. */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./i.test(address)
}

/** True if `host` is this one, by the name that every host has for itself. */
export function isThisHost(host: string): boolean {
  return host === '' || host.toLowerCase() === 'localhost'
}

/** True if a peer at `address`, come to the address `own` of this host, is on this host too. */
export function isOwn(address: string, own: string): boolean {
  // One that has gone has no address any more, and neither has our end.
  return isLoopback(address) || (address === own && address !== '')
}

/** IPv4 as IPv4, which a socket bound to all of IPv6 shows as `::ffff:192.0.2.1`. */
export function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

/** True if a daemon asked at `asked` may send us to `address`: a far one not to our own loopback. */
export function mayLead(asked: string, address: string): boolean {
  return isLoopback(asked) || !leadsHere(address)
}

/** True if an IP address leads to whichever host uses it: a loopback address, or one that stands for all. */
export function leadsHere(address: string): boolean {
  if (!address.includes(':')) return /^(0|127)\./.test(address)
  return here.check(address.replace(/%.*/, ''), 'ipv6')
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

/** The eight groups of an address of IPv6, without its zone. */
export function groupsOf(address: string): string[] {
  const [front, back = []] = address.replace(/%.*/, '').split('::').map(split)
  const zeros = Array<string>(8 - front!.length - back.length).fill('0')
  return [...front!, ...zeros, ...back]
}

function split(part: string): string[] {
  return part.split(':').filter(Boolean)
}
