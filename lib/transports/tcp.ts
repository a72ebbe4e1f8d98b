import type { Transport } from './transport.ts'

/** TCP: to any host, for every call. */
export const tcp: Transport = {
  name: 'tcp',
  allows: () => true,
  // One registration at one address: a host may have lost the address where it was before, or another host have it.
  key: ({ transport, instance, address, port, path }) =>
    transport === 'tcp' ? `${instance} ${address} ${port} ${path}` : undefined,
  dial: ({ address, port }) => ({ net: { host: address, port } }),
}
