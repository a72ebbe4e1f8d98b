import { networkInterfaces } from 'node:os'

/** Every address of this host, or for `'0.0.0.0'` those of IPv4; one that is link-local with its zone. */
export function ownAddresses(host = '::'): string[] {
  const family = host === '::' ? undefined : 'IPv4'
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter(info => family === undefined || info.family === family)
      .map(info =>
        info.family === 'IPv6' && info.scopeid ? `${info.address}%${name}` : info.address,
      ),
  )
}

/** The IPv4 address of the interface that has the IPv6 address `address`. */
export function sibling(address: string): string | undefined {
  const all = Object.values(networkInterfaces())
  const found = all.find(addresses => addresses?.some(other => other.address === address))
  return found?.find(other => other.family === 'IPv4')?.address
}
