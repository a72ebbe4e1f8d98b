import type { Transport } from './transport.ts'

/** TCP: to any host, for every call. */
export const tcp: Transport = {
  name: 'tcp',
  allows: () => true,
  // One registration, be it that its host was reached at another address.
  key: ({ transport, instance, port, path }) =>
    transport === 'tcp' ? `${instance} ${port} ${path}` : undefined,
  dial: ({ address, port }) => ({ net: { host: address, port } }),
}
