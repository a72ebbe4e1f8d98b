import { execFileSync } from 'node:child_process'
import { test } from 'tap'
import type { ResolveOptions } from '../../lib/resolution.ts'
import { distinct, envCommand, find, neighbour } from '../../lib/commands/env.ts'
import { MonikerError } from '../../lib/errors.ts'
import { parse, type Name } from '../../lib/name.ts'
import type { Endpoint } from '../../lib/wire/protocol.ts'
import { printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named } from '../fixtures/services.ts'

test('a shell, and whoever else, can be told where services are', async t => {
  const { port: daemonPort } = await daemon(t)
  const metadata = { scheme: 'http', path: '/api' }
  const server = await named(t, { service: 'web@1.2.0', host: '127.0.0.1', daemonPort, metadata })
  const { port } = server.address() as { port: number }
  const env = (...args: string[]) =>
    printed(t, envCommand, ...args, '--daemon-port', String(daemonPort))
  const url = `http://127.0.0.1:${port}/api`

  const sh = await env('web@^1')
  t.equal(
    execFileSync('sh', ['-c', `${sh}echo "$WEB_URL $WEB_HOST"; env | grep ^WEB_PORT`]).toString(),
    `${url} 127.0.0.1\nWEB_PORT=${port}\n`,
  )
  t.match((await env('web', '--format', 'fish')).split('\n'), [
    `set -gx WEB_URL 'http://127.0.0.1:${port}/api'`,
    `set -gx WEB_HOST '127.0.0.1'`,
  ])
  t.match((await env('web', '--format', 'plain')).split('\n'), [
    `WEB_URL=${url}`,
    'WEB_HOST=127.0.0.1',
    `WEB_PORT=${port}`,
    'WEB_VERSION=1.2.0',
  ])
  t.match(JSON.parse(await env('web', 'main=web', '--json')), { WEB_URL: url, MAIN_URL: url })
})

test('a service that does not come is an error, to the shell as well', async t => {
  const { port } = await daemon(t)
  const at = ['--wait', '10ms', '--daemon-port', String(port)]
  const cases: [args: string[], message: RegExp, told: string][] = [
    [['db'], /db is not offered/, 'false'],
    [['db', '--format', 'fish'], /db is not offered/, 'false'],
    [['db', '--format', 'plain'], /db is not offered/, ''],
    [['db', '--json'], /db is not offered/, ''],
    [['db', 'ns:db'], /DB_URL cannot be both/, 'false'],
  ]
  for (const [args, message, told] of cases) {
    const log = t.capture(console, 'log')
    await t.rejects(envCommand.parseAsync([...args, ...at], { from: 'user' }), { message })
    log.restore()
    t.equal(log.args().flat().join(), told, args.join(' '))
  }
})

test('the word for a neighbour is its service, or another that is given', async t => {
  const cases = [
    ['db', 'DB', 'db'],
    ['my-db.v2+x@^1', 'MY_DB_V2_X', 'my-db.v2+x'],
    ['shop:db', 'DB', 'db'],
    ['Main=shop:db', 'MAIN', 'db'],
    ['_1=db://theforce.net:7000', '_1', 'db'],
  ] as const
  for (const [text, word, service] of cases) {
    t.match(neighbour(text), { word, name: { service } }, text)
  }
  t.match(neighbour('main=shop:db@^1://theforce.net:7000', { daemonPort: 8000 }), {
    name: { namespace: 'shop', service: 'db', version: '^1' },
    at: { host: 'theforce.net', daemonPort: 7000 },
  })
  t.match(neighbour('db', { daemonPort: 8000 }).at, { host: '', daemonPort: 8000 })
  for (const text of ['', '80', 'a b', '1=db', '=db', 'main=', 'a-b=db']) {
    t.throws(() => neighbour(text), { code: 'ERR_MONIKER_NAME' }, text)
  }
})

test('no two may have the same word', async t => {
  const both = ['db', 'cache', 'shop:db'].map(text => neighbour(text))
  t.throws(() => distinct(both), {
    message: 'DB_URL cannot be both db and shop:db; give one another word, as in other=shop:db',
  })
  const others = ['db', 'cache', 'other=shop:db'].map(text => neighbour(text))
  t.equal(distinct(others), others)
})

const tell = () => {}

/** A resolver that knows one endpoint for every name. */
function knows(endpoint: Partial<Endpoint>) {
  const address = '127.0.0.1'
  const known = { transport: 'tcp', address, port: 5432, version: '16.1.0', instance: '1' } as const
  const resolve = async (name: Name) => ({
    name,
    host: '',
    endpoints: [{ ...known, ...endpoint } as typeof known],
    ttl: 0,
  })
  return { resolve }
}

test('a program is told of each where it is', async t => {
  const both = ['db', 'main=db'].map(text => neighbour(text))
  t.same(await find(both, { resolver: knows({}), wait: 0, tell }), {
    DB_URL: 'tcp://127.0.0.1:5432',
    DB_HOST: '127.0.0.1',
    DB_PORT: '5432',
    DB_VERSION: '16.1.0',
    MAIN_URL: 'tcp://127.0.0.1:5432',
    MAIN_HOST: '127.0.0.1',
    MAIN_PORT: '5432',
    MAIN_VERSION: '16.1.0',
  })
  t.same(await find([], { resolver: knows({}), wait: 0, tell }), {})
})

test('the URL goes by what the service says of itself, as far as that is good', async t => {
  const cases: [Partial<Endpoint>, url: string][] = [
    [{ transport: 'udp' }, 'udp://127.0.0.1:5432'],
    [{ address: '::1' }, 'tcp://[::1]:5432'],
    [{ metadata: { scheme: 'http', path: '/' } }, 'http://127.0.0.1:5432'],
    [{ metadata: { scheme: 'git+ssh', path: '/a b' } }, 'git+ssh://127.0.0.1:5432/a%20b'],
    [{ metadata: { path: '/api\n' } }, 'tcp://127.0.0.1:5432/api'],
    [{ metadata: { path: '//other:80/x?y#z' } }, 'tcp://127.0.0.1:5432//other:80/x%3Fy%23z'],
    [{ metadata: { path: "/$(id);'é&" } }, 'tcp://127.0.0.1:5432/%24%28id%29%3B%27%C3%A9%26'],
    [{ metadata: { path: 'api', scheme: 'a b' } }, 'tcp://127.0.0.1:5432'],
    [{ metadata: { path: 1, scheme: {} } }, 'tcp://127.0.0.1:5432'],
  ]
  for (const [endpoint, url] of cases) {
    const { DB_URL } = await find([neighbour('db')], { resolver: knows(endpoint), wait: 0, tell })
    t.equal(DB_URL, url)
  }
  for (const [uri, url] of [
    ['db=reynolds:db://luke@theforce.net/shop?ssl=1', 'http://luke@127.0.0.1:5432/shop?ssl=1'],
    ['db://localhost?ssl=1', 'http://127.0.0.1:5432/api?ssl=1'],
    ["db://localhost/'x", 'http://127.0.0.1:5432/%27x'],
  ] as const) {
    const resolver = knows({ metadata: { scheme: 'http', path: '/api' } })
    t.match(await find([neighbour(uri)], { resolver, wait: 0, tell }), { DB_URL: url }, uri)
  }
  const { DB_VERSION } = await find([neighbour('db')], {
    resolver: knows({ version: '1\nX=2' }),
    wait: 0,
    tell,
  })
  t.equal(DB_VERSION, '1X2', 'a version is no more than a word')
})

test('each is waited for, until one cannot be had', async t => {
  const asked: ResolveOptions[] = []
  const error = new MonikerError('EDENIED')
  const resolve = async ({ service }: Name, options: ResolveOptions) => {
    asked.push(options)
    if (service === 'denied') throw error
    return new Promise<never>((_resolve, reject) => {
      options.signal!.addEventListener('abort', () => reject(options.signal!.reason as Error))
    })
  }
  const both = ['db', 'denied'].map(text => neighbour(text))
  await t.rejects(find(both, { resolver: { resolve }, wait: 1_000, tell }), error)
  t.match(asked, [{ wait: 1_000, transports: ['tcp', 'udp'] }, { wait: 1_000 }])
  t.equal(asked[0]!.signal!.aborted, true, 'the others are given up')
  t.same(parse('db'), both[0]!.name)
})

test('whoever waits for long is told for what', async t => {
  let come = (): void => {}
  const late = new Promise<void>(resolve => (come = resolve))
  const { resolve } = knows({})
  const slow = async (name: Name) => {
    if (name.service === 'late') await late
    return resolve(name)
  }
  const both = ['db', 'late@^1'].map(text => neighbour(text))
  const told = await new Promise<string>(resolve => {
    const found = find(both, { resolver: { resolve: slow }, wait: 1_000, tell: resolve })
    void found.then(({ LATE_PORT }) => t.equal(LATE_PORT, '5432'))
  })
  t.equal(told, 'waiting for late@^1')
  come()
  await new Promise(setImmediate)
})

test('nobody needs to wait to the end', async t => {
  const resolve = async (_name: Name, { signal }: ResolveOptions) =>
    new Promise<never>((_resolve, reject) => {
      signal!.addEventListener('abort', () => reject(signal!.reason as Error))
    })
  const given = new AbortController()
  const options = { resolver: { resolve }, wait: 1_000, tell, signal: given.signal }
  const found = find([neighbour('db')], options)
  const reason = new Error('stop')
  given.abort(reason)
  await t.rejects(found, reason)
})
