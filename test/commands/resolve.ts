import { test } from 'tap'
import { resolveCommand } from '../../lib/commands/resolve.ts'
import { LineSplitter } from '../../lib/wire/splitter.ts'
import { decode, encode } from '../../lib/wire/protocol.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { announced, ask, site } from '../fixtures/gateway.ts'
import { named, portOf, stranger } from '../fixtures/services.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux tells whose a gateway is' }

test('each way to write a name says where it leads', async t => {
  const { port: daemonPort } = await daemon(t)
  const old = await named(t, { service: 'ns:tie@1.2.0', daemonPort })
  const young = await named(t, { service: 'ns:tie@2.0.0', daemonPort })
  const at = ['--daemon-port', String(daemonPort)]
  const older = `127.0.0.1 ${portOf(old)} tcp 1.2.0\n`
  const newer = `127.0.0.1 ${portOf(young)} tcp 2.0.0\n`

  const cases: [args: string[], line: string][] = [
    [['ns:tie', ...at], newer],
    [['ns:tie@^1', ...at], older],
    [['NS:Tie', 'localhost', ...at], newer],
    [[`ns:tie@1://localhost:${daemonPort}`], older],
    [['ns:tie://127.0.0.1', ...at], newer],
  ]
  for (const [args, line] of cases) {
    t.equal(await printed(t, resolveCommand, ...args), line, args.join(' '))
  }
})

test('a namespace that is given is looked in first, then the own of the host', async t => {
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
  const { port: daemonPort } = await daemon(t)
  const theirs = await named(t, { service: 'ns:tie', daemonPort })
  const ours = await named(t, { service: 'wing', daemonPort })
  const at = ['--namespace', 'ns', '--daemon-port', String(daemonPort)]
  t.match(await printed(t, resolveCommand, 'tie', ...at), ` ${portOf(theirs)} `)
  t.match(await printed(t, resolveCommand, 'wing', ...at), ` ${portOf(ours)} `)
})

test('as JSON there is all that is known', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'tie@1.2.0', daemonPort, metadata: { path: '/x' } })
  const text = await printed(t, resolveCommand, 'tie', '--json', '--daemon-port', `${daemonPort}`)
  t.match(JSON.parse(text), {
    name: { service: 'tie', namespace: '' },
    endpoints: [{ port: portOf(server), transport: 'tcp', metadata: { path: '/x' } }],
    ttl: Number,
  })
})

test('as a URL it is what other programs take', async t => {
  const { port: daemonPort } = await daemon(t)
  const metadata = { scheme: 'ftp', path: '/api' }
  const server = await named(t, { service: 'tie@1.2.0', daemonPort, metadata })
  const text = await printed(
    t,
    resolveCommand,
    'tie',
    '--url',
    'http',
    '--daemon-port',
    `${daemonPort}`,
  )
  t.equal(text, `http://127.0.0.1:${portOf(server)}/api\n`)
})

test('without a scheme it is the URL by the gateway', linux, async t => {
  const { gateway, daemonPort, serve } = await site(t)
  await serve({ service: 'web', metadata: { scheme: 'http', path: '/docs/' } })
  await announced(daemonPort)
  const url = `http://web.localhost:${gateway.port}/docs/`
  for (const args of [
    ['web', '--url'],
    ['--url', 'web'],
    ['--url', '--json', 'web://localhost'],
  ]) {
    const { stdout, status } = await moniker(t, ['resolve', ...args], { port: daemonPort }).ended
    t.match([stdout, status], [`${url}\n`, 0], args.join(' '))
  }
  const { port, host, pathname: path } = new URL(url)
  const { status, body } = await ask({ port, path, headers: { host } })
  t.equal(status, 200)
  t.match(body, '"/docs/"')
})

test('the address stays the same at port 80, which is left out', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'luke:tie', daemonPort })
  t.teardown(() => delete process.env.MONIKER_GATEWAY)
  process.env.MONIKER_GATEWAY = 'http://localhost:80'
  const at = ['--daemon-port', String(daemonPort)]
  t.equal(
    await printed(t, resolveCommand, 'luke:tie', '--url', ...at),
    'http://tie.luke.localhost/\n',
  )
})

test('a call without a name, or with a scheme that is none, is a wrong one', async t => {
  const cases = [
    [[], "error: missing required argument 'name'\n"],
    [['tie', '--url', 'no scheme'], 'error: expected a scheme such as http, got "no scheme"\n'],
  ] as const
  for (const [args, stderr] of cases) {
    t.match(await moniker(t, ['resolve', ...args]).ended, { stdout: '', stderr, status: 2 })
  }
})

test('a URI keeps its user, path, query and fragment', async t => {
  const { port: daemonPort } = await daemon(t)
  const metadata = { path: '/api' }
  const server = await named(t, { service: 'reynolds:http', daemonPort, metadata })
  const at = `127.0.0.1:${portOf(server)}`
  const cases = [
    ['reynolds:http://localhost/index.html?q=1#top', `http://${at}/index.html?q=1#top`],
    [
      'reynolds:http://luke:se%40cret@localhost/a?x=1&y=[2]',
      `http://luke:se%40cret@${at}/a?x=1&y=[2]`,
    ],
    ['reynolds:http://localhost', `http://${at}/api`],
    ['reynolds:http://localhost?q=1', `http://${at}/api?q=1`],
    ['reynolds:http://localhost/', `http://${at}/`],
    ["reynolds:http://localhost/a b'\n\u00e9", `http://${at}/a%20b%27%0A%C3%A9`],
  ] as const
  const args = ['--daemon-port', String(daemonPort)]
  for (const [uri, url] of cases) {
    t.equal(await printed(t, resolveCommand, uri, '--url', 'http', ...args), `${url}\n`, uri)
  }
  const uri = 'reynolds:http://luke@localhost/a?b#c'
  const json = await printed(t, resolveCommand, uri, '--json', ...args)
  t.match(JSON.parse(json), { userinfo: 'luke', path: '/a?b#c' })
  const lines = await printed(t, resolveCommand, uri, ...args)
  t.match(
    lines,
    /^127.*\n# moniker: not used: user luke, path \/a\?b#c; they are for the program\n$/,
  )
})

test('what leads nowhere is an error that says why', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'tie@1.2.0', daemonPort })
  const cases = [
    ['wing', 'ECONNREFUSED', /wing is not offered at localhost:\d+; is the program/],
    ['tie@^2', 'ECONNREFUSED', /tie@\^2 is not offered at localhost:\d+; 1.2.0 is/],
    ['80', 'ERR_MONIKER_NAME', /expected a name such as starwars .*, got "80"/],
    ['tie@@', 'ERR_MONIKER_NAME', /expected a name/],
  ] as const
  for (const [name, code, message] of cases) {
    const resolved = printed(t, resolveCommand, name, '--daemon-port', String(daemonPort))
    await t.rejects(resolved, { code, message }, name)
  }
})

test('what a daemon says cannot steer the terminal', async t => {
  const endpoint = { transport: 'tcp', port: 80, version: '1\n\u001B[2J', instance: 'a' }
  const port = await stranger(t, socket => {
    socket.pipe(new LineSplitter()).on('data', ([line]: [string]) => {
      socket.write(encode(decode(line).id as number, { endpoints: [endpoint] }))
    })
  })
  const lines = await printed(t, resolveCommand, 'tie', '--daemon-port', String(port))
  t.equal(lines, '127.0.0.1 80 tcp 1  [2J\n')
})
