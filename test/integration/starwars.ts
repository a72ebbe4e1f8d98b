// The two listings of the paper, as programs.
import { once } from 'node:events'
import { test, type Test } from 'tap'
import { connect } from '../../index.ts'
import { moniker } from '../fixtures/command.ts'
import { nobody } from '../fixtures/services.ts'

/** The server, once it is on stage, on a host of its own. */
async function stage(t: Test, ...args: string[]) {
  const port = await nobody()
  const server = moniker(t, args, { port, program: '../examples/starwars-server.ts' })
  await server.said(/^starwars 1\.2\.0 is on stage/, 'stdout')
  return { ...server, port }
}

function client(t: Test, port: number, ...args: string[]) {
  return moniker(t, args, { port, program: '../examples/starwars-client.ts' }).ended
}

const line = 'vader, episode 4: I find your lack of faith disturbing.\n'

for (const [title, args] of Object.entries({ streams: [], datagrams: ['--udp'] })) {
  test(`the client is told what Vader says, over ${title}`, async t => {
    const { child, port, ended } = await stage(t, ...args)
    t.match(await client(t, port, ...args, 'vader'), { status: 0, stdout: line, stderr: '' })
    t.match(await client(t, port, ...args, 'jarjar'), { status: 0, stdout: /episode 0: …\n/ })
    child.kill()
    t.match(await ended, { status: 0, stderr: '' })
  })
}

test('peers that say nothing, or go in the middle of it, keep nobody waiting', async t => {
  const { port, ended } = await stage(t)
  const silent = Array.from({ length: 100 }, () =>
    connect({ service: 'starwars', daemonPort: port }).on('error', () => {}),
  )
  t.teardown(() => silent.forEach(socket => socket.destroy()))
  await Promise.all(silent.map(socket => once(socket, 'connect')))
  const rude = connect({ service: 'starwars', daemonPort: port, transports: ['tcp'] })
  await once(rude, 'connect')
  await new Promise(sent => rude.write('va', sent))
  rude.resetAndDestroy()
  const answered = await Promise.race([client(t, port, 'vader'), ended])
  t.match(answered, { status: 0, stdout: line })
})
