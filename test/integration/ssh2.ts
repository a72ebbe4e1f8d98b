import { once } from 'node:events'
import type { Server } from 'node:net'
import { text } from 'node:stream/consumers'
import ssh2, { type ClientChannel } from 'ssh2'
import { test } from 'tap'
import { listen } from '../../lib/sockets/server.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { home } from '../fixtures/home.ts'

test('ssh2 talks to a server over a name', async t => {
  await home(t)
  // Of ed25519 ssh2 cannot read one in 200 of the keys that it makes.
  const { private: key } = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256 })
  const server = new ssh2.Server({ hostKeys: [key] }, peer => {
    peer.on('error', () => {})
    peer.on('authentication', context => context.accept())
    peer.on('session', accept => {
      accept().on('exec', (acceptExec, _reject, { command }) => {
        const channel = acceptExec()
        channel.write(`you said ${command}`)
        channel.exit(0)
        channel.end()
      })
    })
  })
  const { _srv } = server as unknown as { _srv: Server }
  await once(listen(_srv, 'ssh'), 'listening')

  const client = new ssh2.Client().connect({ sock: connect('ssh'), username: 'luke' })
  await once(client, 'ready')
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    client.exec('hello', (error, opened) => (error ? reject(error) : resolve(opened)))
  })
  t.equal(await text(channel), 'you said hello')
  client.end()
  await once(client, 'close')
  await once(_srv.close(), 'close')
})
