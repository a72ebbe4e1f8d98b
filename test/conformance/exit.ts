// A program ends when its like of `net` does: nothing of ours keeps it alive, or lets it go too early.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { daemon } from '../fixtures/daemon.ts'

/** Each says `done` where it has to come to that before it ends. */
const programs: Record<string, string> = {
  'a server that is unref’d': 'api.createServer().listen(where()).unref()',
  'a server that is unref’d once it listens':
    'const server = api.createServer().listen(where(), () => server.unref())',
  'a server that is unref’d and says that it listens':
    'api.createServer().listen(where(), () => console.log("done")).unref()',
  'a server that is closed':
    'const server = api.createServer().listen(where(), () => server.close())',
  'a socket that finds nobody':
    'api.connect(nowhere()).on("error", error => console.log(error.code))',
  'a socket that is unref’d before it is connected':
    'api.connect(nowhere()).unref().on("error", error => console.log(error.code))',
  'a socket that is unref’d once it is connected': `
    const server = api.createServer().listen(where(), () => {
      const socket = api.connect(there(server), () => socket.unref())
      server.unref().on('connection', peer => peer.unref())
    })`,
  'a socket that is never connected': 'new api.Socket()',
}

/** The whole of a program, with a way to listen and to connect on either road. */
function source(program: string, daemonPort: number | undefined): string {
  const index = new URL('../../index.ts', import.meta.url).href
  return daemonPort === undefined
    ? `import api from 'node:net'
      const where = () => ({ port: 0, host: '127.0.0.1' })
      const there = server => server.address()
      const nowhere = () => ({ port: 1, host: '127.0.0.1' })
      ${program}`
    : `import api from ${JSON.stringify(index)}
      const named = { service: 'road', daemonPort: ${daemonPort}, host: '127.0.0.1' }
      const where = () => ({ ...named, shared: true })
      const there = () => named
      const nowhere = () => ({ ...named, service: 'nobody' })
      ${program}`
}

async function outcome(program: string, daemonPort?: number): Promise<unknown> {
  const loaders = daemonPort === undefined ? [] : process.execArgv
  const args = [...loaders, '--input-type=module', '-e', source(program, daemonPort)]
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd })
  let said = ''
  child.stdout.on('data', text => (said += String(text)))
  return [await once(child, 'close'), said]
}

/** Each waits for a name that does not come. */
const waiting: Record<string, [program: string, said: string]> = {
  'a socket that waits': [
    'api.connect(later).on("error", ({ reason }) => console.log(reason))',
    'ENOSERVICE\n',
  ],
  'a socket that waits and is unref’d': ['api.connect({ ...later, wait: 60_000 }).unref()', ''],
  'a socket that waits, and is destroyed': [
    'const socket = api.connect({ ...later, wait: 60_000 }); setTimeout(() => socket.destroy(), 50)',
    '',
  ],
  'a socket that waits, is unref’d and ref’d': [
    'api.connect(later).unref().ref().on("error", ({ reason }) => console.log(reason))',
    'ENOSERVICE\n',
  ],
  'a resolver that waits': [
    'await new api.Resolver().resolve("nobody", later).catch(({ reason }) => console.log(reason))',
    'ENOSERVICE\n',
  ],
}

test('what waits for a name keeps its program alive, unless it is unref’d', async t => {
  const { port } = await daemon(t)
  const outcomes = Object.entries(waiting).map(async ([what, [program, said]]) => {
    const later = 'const later = { ...nowhere(), wait: 500 }\n'
    t.same(await outcome(later + program, port), [[0, null], said], what)
  })
  await Promise.all(outcomes)
})

test('programs end when their likes of net do', async t => {
  const { port } = await daemon(t)
  const outcomes = Object.entries(programs).map(async ([what, program]) => {
    t.same(await outcome(program, port), await outcome(program), what)
  })
  await Promise.all(outcomes)
})
