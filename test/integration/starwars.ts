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

const well = { status: 0, signal: null, stderr: '' }
const line = 'vader, episode 4: I find your lack of faith disturbing.\n'

for (const [title, args] of Object.entries({ streams: [], datagrams: ['--udp'] })) {
  test(`the client is told what Vader says, over ${title}`, async t => {
    const { child, port, ended } = await stage(t, ...args)
    t.same(await client(t, port, ...args, 'vader'), { ...well, stdout: line })
    const unknown = 'jarjar, episode 0: …\n'
    t.same(await client(t, port, ...args, 'jarjar'), { ...well, stdout: unknown })
    child.kill()
    const { stdout: _, ...end } = await ended
    t.same(end, well)
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
  t.same(answered, { ...well, stdout: line })
})
