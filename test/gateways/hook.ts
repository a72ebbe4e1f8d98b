import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { Resolver } from '../../lib/client/resolver.ts'
import { createSocket as createNamed } from '../../lib/sockets/datagram.ts'
import { listen } from '../../lib/sockets/server.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { fake, type Fake } from '../fixtures/fake.ts'
import { home } from '../fixtures/home.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { line } from '../fixtures/lines.ts'
import { named, nobody } from '../fixtures/services.ts'

const hooked = new URL('../fixtures/hooked.js', import.meta.url).href

/** Milliseconds that a program may take on a busy machine. */
const PATIENCE = 60_000

interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

interface Options {
  readonly env?: NodeJS.ProcessEnv
  /** Options of Node. Default those by which a program is hooked. */
  readonly args?: readonly string[]
  /** The file that it stands in; `''` is none. Default a module. */
  readonly file?: string
  /** True to take out what the test runner adds to the options of Node. */
  readonly isBare?: boolean
  /** Called with each line that the program says, and what it hears on its stdin. */
  readonly onLine?: (line: string, say: (text: string) => void) => void
}

/** Runs a program of a user who knows nothing of names. */
async function run(t: Test, code: string, options: Options = {}): Promise<Ended> {
  const {
    env = {},
    args = [`--import=${hooked}`],
    file = 'app.mjs',
    isBare = false,
    onLine,
  } = options
  const folder = await mkdtemp(join(tmpdir(), 'moniker-hook-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const path = file && join(folder, file)
  if (path) await writeFile(path, code)
  return new Promise(resolve => {
    const given = [...args, '--disable-warning=ExperimentalWarning', ...(path ? [path] : [])]
    const all = { ...process.env, ...env }
    const bare = isBare ? ['-u', 'NODE_OPTIONS'] : []
    const child = execFile(
      'env',
      [...bare, process.execPath, ...given],
      { env: all, timeout: PATIENCE },
      (error, stdout, stderr) => {
        const { code } = (error ?? { code: 0 }) as { code: unknown }
        resolve({ status: typeof code === 'number' ? code : -1, stdout, stderr })
      },
    )
    child.stdout!.on('data', (text: string) => {
      const say = (text: string) => void child.stdin!.write(text)
      for (const line of text.split('\n').filter(Boolean)) onLine?.(line, say)
    })
  })
}

/** The words of a program, a value of JSON in each line. */
function said({ stdout, stderr, status }: Ended): unknown[] {
  if (status !== 0) throw new Error(`${status}: ${stdout}${stderr}`)
  return stdout
    .split('\n')
    .filter(Boolean)
    .map(text => JSON.parse(text) as unknown)
}

/** Services that say what they were asked, each under a name. */
async function services(t: Test): Promise<void> {
  const sockets = new Set<Socket>()
  const serve = async (name: string, server: Server) => {
    server.on('connection', (socket: Socket) => sockets.add(socket))
    await once(listen(server, name), 'listening')
    t.teardown(() => void server.close())
  }
  const onRequest: http.RequestListener = (request, response) => {
    response.setHeader('connection', 'close')
    response.end(`${request.method} of ${request.headers.host}`)
  }
  await named(t, { service: 'echo' })
  await serve('web', http.createServer(onRequest))
  await serve('secure', https.createServer({ key, cert }, onRequest))
  await serve(
    'second',
    http2.createServer((request, response) => response.end(request.authority)),
  )
  const clock = createNamed('udp4')
  clock.on('message', (message, { port, address }) => clock.send(message, port, address))
  await once(clock.bind('clock'), 'listening')
  t.teardown(async () => {
    clock.close()
    for (const socket of sockets) socket.destroy()
  })
}

/** Both ways to load modules. */
const FORMATS = [
  { file: 'app.mjs', load: (names: string, from: string) => `import ${names} from '${from}'` },
  {
    file: 'app.cjs',
    load: (names: string, from: string) => `const ${names} = require('${from}')`,
  },
] as const

const body = `
const get = (get, url) => new Promise((resolve, reject) => {
  get(url, { ca: process.env.CA, servername: undefined }, response => resolve(text(response))).on('error', reject)
})
async function main() {
  const told = {}
  const plain = connect(9, 'echo.localhost')
  plain.end('plain')
  told.net = await text(plain)
  told.http = await get(http.get, 'http://web.localhost:9/')
  told.https = await get(https.get, 'https://secure.localhost/')
  told.fetch = await (await fetch('http://web.moniker.internal/')).text()
  const secure = tls.connect({ port: 443, host: 'secure.localhost', ca: process.env.CA, checkServerIdentity: () => undefined })
  await once(secure, 'secureConnect')
  told.tls = [secure.encrypted, secure.servername ?? '']
  secure.destroy()
  const session = http2.connect('http://second.localhost')
  told.http2 = await text(session.request({ ':path': '/' }))
  session.close()
  const socket = createSocket('udp4')
  socket.send('datagram', 9, 'clock.localhost')
  told.dgram = String((await once(socket, 'message'))[0])
  socket.connect(9, 'clock.localhost')
  await once(socket, 'connect')
  socket.send('again')
  told.connected = String((await once(socket, 'message'))[0])
  socket.close()
  console.log(JSON.stringify(told))
}
main()
`

for (const { file, load } of FORMATS) {
  t.test(`each way out of ${file} goes by name, whichever way it was imported`, async t => {
    await home(t)
    await services(t)
    const loads = [
      load('{ connect }', 'node:net'),
      load('{ createSocket }', 'node:dgram'),
      load('{ once }', 'node:events'),
      load('{ text }', 'node:stream/consumers'),
      ...['http', 'https', 'http2'].map(name => load(name, `node:${name}`)),
      file === 'app.mjs' ? `import * as tls from 'node:tls'` : load('tls', 'node:tls'),
    ]
    const env = { CA: cert, NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' }
    const ended = await run(t, `${loads.join('\n')}\n${body}`, { file, env })
    t.same(said(ended), [
      {
        net: 'plain',
        http: 'GET of web.localhost:9',
        https: 'GET of secure.localhost',
        fetch: 'GET of web.moniker.internal',
        tls: [true, ''],
        http2: 'second.localhost:80',
        dgram: 'datagram',
        connected: 'again',
      },
    ])
  })
}

/** A program that connects to hosts, and says what it has heard of each, or the code of its error. */
const client = (...targets: string[]) => `
import net from 'node:net'
for (const target of ${JSON.stringify(targets)}) {
  const [host, port = 9] = target.split('/')
  const socket = net.connect(Number(port), host)
  let heard = ''
  socket.on('data', data => (heard += data)).end('hi')
  await new Promise(resolve => socket.on('error', ({ code, message }) => (heard = [code, message])).on('close', resolve))
  console.log(JSON.stringify(heard))
}
`

/** A daemon that says where everything is, and if it is held by a trusted user when it is asked. */
async function leading(t: Test, port: number, trusted?: unknown): Promise<Fake> {
  const endpoints = [{ transport: 'tcp', port, version: '0.0.0', instance: 'one' }]
  return fake(t, {
    tcp({ id, trusted: isAsked }, socket) {
      socket.write(line({ id, endpoints, ...(isAsked !== undefined && { trusted }) }))
    },
  })
}

/** The port of a server that echoes. */
async function echo(t: Test): Promise<number> {
  const server = await named(t, { service: 'some', daemonPort: await home(t) })
  return (server.address() as { port: number }).port
}

t.test('a name without a dot goes by name if its holder can be trusted', async t => {
  const { port } = await leading(t, await echo(t), true)
  const env = { MONIKER_PORT: String(port) }
  t.same(said(await run(t, client('web', 'WEB.localhost'), { env })), ['hi', 'hi'])
})

const isRoot = process.platform === 'linux' && process.getuid?.() === 0
const root = { skip: !isRoot && 'only root can run programs as somebody else' }

t.test(
  'one of another user goes by name if it is listed, or cannot be that of a host',
  root,
  async t => {
    const port = await home(t)
    await named(t, { service: 'mine', daemonPort: port })
    const program = `
    const net = require('net')
    const server = net.createServer(socket => socket.end('stranger')).listen(0, '127.0.0.1', () => {
      const register = { op: 'register', service: 'theirs', transport: 'tcp', port: server.address().port }
      net.connect(${port}, '127.0.0.1').once('data', () => console.log('there')).write(JSON.stringify({ v: 1, id: 1, ...register }) + '\\n')
    })`
    const stranger = spawn(process.execPath, ['-e', program], {
      uid: 12_345,
      env: {},
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => stranger.kill())
    await once(stranger.stdout, 'data')
    // A session is kept from the second question on.
    const hosts = ['mine', 'theirs', 'mine', 'theirs', 'theirs.localhost']
    const own = ['hi', ['ENOTFOUND']]
    t.match(said(await run(t, client(...hosts))), [...own, ...own, 'stranger'])
    const env = { MONIKER_NAMES: 'theirs' }
    t.same(said(await run(t, client('theirs'), { env })), ['stranger'])
  },
)

t.test('by a daemon that does not know whom to trust it goes if it is listed', async t => {
  const { port, streamed } = await leading(t, await echo(t))
  const env = { MONIKER_PORT: String(port), MONIKER_NAMES: 'db, Web' }
  const heard = said(await run(t, client('web', 'db', 'cache.invalid', 'nobody'), { env }))
  t.match(heard, ['hi', 'hi', ['ENOTFOUND'], ['ENOTFOUND', 'getaddrinfo ENOTFOUND nobody']])
  const asked = streamed.map(({ service, trusted = false }) => [service, trusted])
  t.same(asked, [
    ['web', false],
    ['db', false],
    ['nobody', true],
  ])
})

t.test('one at another host is asked for there', { skip: withoutIPv6 }, async t => {
  const port = await home(t, ['::1'])
  await named(t, { service: 'reynolds:web', daemonPort: port })
  const heard = said(await run(t, client('web.reynolds.at.--1.ip6.moniker.internal')))
  t.same(heard, ['hi'])
})

t.test('one that gives no namespace is in that of the program, or else in none', async t => {
  const port = await home(t)
  await named(t, { service: 'reynolds:web', daemonPort: port })
  await named(t, { service: 'db', namespace: '', daemonPort: port })
  const env = { MONIKER_NAMESPACE: 'reynolds' }
  t.same(said(await run(t, client('web.localhost', 'db.localhost'), { env })), ['hi', 'hi'])
})

t.test('what is no name, or unknown, or asked for in vain, goes on as it is', async t => {
  const port = await home(t)
  const plain = await named(t, { service: 'localhost', daemonPort: port })
  const at = (plain.address() as { port: number }).port
  const hosts = ['nobody', 'nobody.localhost', 'nobody.moniker.internal', `localhost/${at}`]
  const code = client(...hosts, `127.0.0.1/${at}`)
  const usual = said(await run(t, code, { args: [] }))
  t.match(usual, [['ENOTFOUND'], ['ENOTFOUND'], ['ENOTFOUND'], 'hi', 'hi'])
  const given: Record<string, NodeJS.ProcessEnv> = {
    'a daemon': {},
    'no daemon': { MONIKER_PORT: String(await nobody()) },
    'no such port': { MONIKER_PORT: 'none' },
    'a name for a server': { MONIKER_LISTEN: 'web' },
  }
  for (const [what, env] of Object.entries(given)) {
    const ended = await run(t, code, { env })
    t.same(said(ended), usual, what)
    t.equal(ended.stderr, '', what)
  }
})

t.test('under --permission nothing is changed', async t => {
  await home(t)
  await services(t)
  const name = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'
  const net = process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []
  const allowed = [name, '--allow-fs-read=*', '--allow-worker', ...net]
  const code = `import net from 'node:net'
    console.log(Symbol.for('moniker-net/auto') in globalThis, process.env.MONIKER_LISTEN)
    net.createServer().listen(0, function () { this.close() })`
  const ended = await run(t, code, {
    args: [...allowed, `--import=${hooked}`],
    env: { MONIKER_LISTEN: 'app' },
    isBare: true,
  })
  t.equal(ended.stdout, 'false app\n', ended.stderr)
})

/** A program that listens, says so, and closes when it is told to. */
const server = (options: string, more = '') => `
import { spawnSync } from 'node:child_process'
import net from 'node:net'
const server = net.createServer(socket => socket.pipe(socket))
${more}
server.listen(${options}, () => {
  const inherited = spawnSync(process.execPath, ['-p', 'process.env.MONIKER_LISTEN'], { env: { ...process.env, NODE_OPTIONS: '' } })
  console.log(JSON.stringify({ port: server.address().port, inherited: String(inherited.stdout).trim() }))
})
process.stdin.once('data', () => {
  process.stdin.destroy()
  server.close()
})
`

/** The port of a name by now, if it has one, once that is another than `before`. */
async function portOf(name: string, before?: number): Promise<number | undefined> {
  const resolver = new Resolver()
  for (;;) {
    const found = await resolver.resolve(name).then(
      ({ endpoints }) => endpoints[0]!.port,
      () => undefined,
    )
    if (found !== before) return found
  }
}

t.test('MONIKER_LISTEN names the first server that listens', async t => {
  await home(t)
  // The socket of some tool comes first.
  const more = `await new Promise(resolve => net.createServer().listen('\\0moniker-test-' + process.pid, resolve).unref())`
  let isClosed: Promise<unknown> | undefined
  const onLine = (line: string, say: (text: string) => void) => {
    isClosed = (async () => {
      const { port, inherited } = JSON.parse(line) as { port: number; inherited: string }
      t.equal(inherited, 'undefined', 'no child takes the name')
      t.equal(await portOf('web@1.2.0'), port)
      say('close\n')
      t.equal(await portOf('web', port), undefined, 'it goes with the server')
    })()
  }
  const env = { MONIKER_LISTEN: 'web@1.2.0', PORT: '' }
  const skip = process.platform === 'linux' ? more : ''
  const ended = await run(t, server('0', skip), { env, onLine })
  t.equal(ended.status, 0, ended.stderr)
  await isClosed
})

t.test('with PORT it names the server that listens there', async t => {
  await home(t)
  const port = await nobody()
  const more = `
const first = net.createServer()
await new Promise(resolve => first.listen(0, resolve))
if (process.env.MONIKER_LISTEN !== 'web') throw new Error('it is used up')
first.close()`
  let isThere: Promise<unknown> | undefined
  const onLine = (_line: string, say: (text: string) => void) => {
    isThere = portOf('web')
      .then(found => t.equal(found, port))
      .finally(() => say('close\n'))
  }
  const env = { MONIKER_LISTEN: 'web', PORT: String(port) }
  const ended = await run(t, server('process.env.PORT', more), { env, onLine })
  t.equal(ended.status, 0, ended.stderr)
  await isThere
})

t.test('where the name cannot be had the program is warned, and does without', async t => {
  await named(t, { service: 'web', daemonPort: await home(t) })
  const code = `
import net from 'node:net'
const server = net.createServer().listen(0)
process.once('warning', () => server.close())`
  const ended = await run(t, code, { env: { MONIKER_LISTEN: 'web' } })
  t.equal(ended.status, 0)
  t.match(ended.stderr, /MonikerError: EADDRINUSE: web@0\.0\.0 is already registered/)
})

t.test('nothing keeps the program alive', async t => {
  await home(t)
  const code = `
import net from 'node:net'
net.createServer().listen(0).unref()
const { env } = process
const isUsed = () => (env.MONIKER_LISTEN ? setImmediate(isUsed) : console.log('used'))
isUsed()`
  t.match(await run(t, code, { env: { MONIKER_LISTEN: 'web' } }), { status: 0, stdout: 'used\n' })
})

t.test('it hooks once, and no program of its own', async t => {
  const tell = `data:text/javascript,process.on('exit', () => console.log(Symbol.for('moniker-net/auto') in globalThis))`
  const again = new URL('../../lib/gateways/hook.ts?again.ts', import.meta.url).href
  const code = `import net from 'node:net'
    const { connect } = net.Socket.prototype
    await import(${JSON.stringify(again)})
    console.log(connect === net.Socket.prototype.connect)`
  const args = [`--import=${hooked}`, `--import=${tell}`]
  t.match(await run(t, code, { args }), { status: 0, stdout: 'true\ntrue\n' })
  const cli = fileURLToPath(new URL('../../lib/cli.ts', import.meta.url))
  t.match(await run(t, '', { args: [...args, cli, '--version'] }), {
    status: 0,
    stdout: /\nfalse\n$/,
  })
  const text = `--eval=console.log(Symbol.for('moniker-net/auto') in globalThis)`
  t.match(await run(t, '', { args: [`--import=${hooked}`, text], file: '' }), { stdout: 'true\n' })
})

t.test('without the rest of the package it changes nothing', async t => {
  await home(t)
  await services(t)
  const refuse = `export async function resolve(name, context, next) {
    if (/(lookup|registration)\\.ts$/.test(name)) throw new Error('gone')
    return next(name, context)
  }`
  const register = `import { register } from 'node:module'
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(refuse)}))`
  const args = [
    '--no-deprecation',

    `--import=data:text/javascript,${encodeURIComponent(register)}`,
    `--import=${hooked}`,
  ]
  const code = `${client('web.localhost')}
    const server = net.createServer().listen(0, () => server.close())`
  const ended = await run(t, code, { args, env: { MONIKER_LISTEN: 'app' } })
  t.match(said(ended), [['ENOTFOUND']])
  t.equal(ended.stderr, '')
})
