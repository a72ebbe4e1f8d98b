import { chmodSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { t, test } from 'tap'
import { execCommand, hooked } from '../../lib/commands/exec.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { fake } from '../fixtures/fake.ts'
import { far } from '../fixtures/far.ts'
import { line } from '../fixtures/lines.ts'
import { nobody, stranger } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 3

/** For what runs inside this process, and is caught in what it writes. */
const alone = { buffered: false }

/** The loader by which a Node of any version runs our hook from its source. */
const strip = `--import=${pathToFileURL('test/fixtures/strip.js').href}`

/** The options by which a program of Node asks the proxy in its environment for a URL, and no other proxy for that. */
const asking = `
  const http = require('http')
  const { hostname, port } = new URL(process.env.http_proxy)
  const options = { hostname, port, path: process.argv[1], agent: new http.Agent() }`

/** A program that fetches a URL, and writes what comes. */
const fetching = `${asking}
  http.get(options, response => response.pipe(process.stdout))`

const fetch = (url: string) => [process.execPath, '-e', fetching, url]

test('a program finds names by a gateway of its own, and needs no daemon here', async t => {
  const there = await far(t)
  await there.web('starwars', ({ url }, response) => response.end(`a new hope at ${url}`))
  const env = { NODE_OPTIONS: strip, NO_PROXY: '*' }
  const { ended } = moniker(t, ['exec', ...fetch(`starwars://${there.host}/x`)], {
    port: there.port,
    env,
  })
  t.match(await ended, { status: 0, stdout: 'a new hope at /x' })
})

const modern = {
  skip: Number.parseInt(process.versions.node, 10) < 24 && 'this Node reads no proxy variables',
}

test('Node itself finds names by it, from 24 on', modern, async t => {
  const there = await far(t)
  await there.web('starwars', ({ url }, response) => response.end(`a new hope at ${url}`))
  const program = 'fetch(process.argv[1]).then(answer => answer.text()).then(console.log)'
  const url = `http://starwars.at.${there.host}.moniker.internal/x`
  const { ended } = moniker(t, ['exec', process.execPath, '-e', program, url], {
    port: there.port,
    env: { NODE_OPTIONS: strip },
  })
  t.match(await ended, { status: 0, stdout: 'a new hope at /x\n' })
})

test('a name without a dot goes by name if it is listed, whoever holds it', async t => {
  const server = await stranger(t, socket => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nby name'))
  })
  const place = { transport: 'tcp', address: '127.0.0.1', version: '0.0.0', instance: 'i' }
  // Those who ask for what trusted programs hold are told that there is nothing.
  const { port } = await fake(t, {
    tcp: ({ id, op, trusted }, socket) => {
      const error = { code: 'ENOSERVICE', message: 'none' }
      const answer = trusted ? { error } : { endpoints: [{ ...place, port: server }] }
      if (op === 'resolve') socket.write(line({ id, ...answer }))
    },
  })
  const env = { NODE_OPTIONS: strip }
  const options = ['--names', 'other,web', '--daemon-port', String(port)]
  const { ended } = moniker(t, ['exec', ...options, '--', ...fetch('http://web/')], { env })
  t.match(await ended, { status: 0, stdout: 'by name' })
  const told = ['sh', '-c', 'echo $MONIKER_NAMES $MONIKER_PORT']
  t.match(await moniker(t, ['exec', ...options, ...told]).ended, {
    stdout: `other,web ${port}\n`,
  })
})

/** A program that fetches a URL until a server by name answers: a daemon that took too long is asked again. */
const persisting = `${asking}
  const fetch = () => http.get(options, async response => {
    const [text = ''] = await response.setEncoding('utf8').toArray()
    if (text === 'by name') console.log(text)
    else fetch()
  })
  fetch()`

test('the daemons of other hosts are asked for http only if it is told to', async t => {
  const there = await far(t)
  await there.web('http', 'by name')
  const at = { port: there.port, env: { NODE_OPTIONS: strip } }
  const url = `http://${there.host}/`
  const asking = ['exec', '--ask', process.execPath, '-e', persisting, url]
  t.match(await moniker(t, asking, at).ended, { stdout: 'by name\n' })
  t.notMatch(await moniker(t, ['exec', ...fetch(url)], at).ended, { stdout: 'by name' })
})

test('signals go to the program, and how it ends is told on', async t => {
  const port = await nobody()
  const script = 'trap "echo hung up" HUP; echo up; while :; do sleep 0.1; done'
  const { child, said, ended } = moniker(t, ['exec', 'sh', '-c', script], { port })
  await said(/up\n/, 'stdout')
  child.kill('SIGHUP')
  await said(/hung up/, 'stdout')
  child.kill('SIGTERM')
  t.match(await ended, { status: 143, signal: null })
  t.match(await moniker(t, ['exec', 'sh', '-c', 'exit 3'], { port }).ended, { status: 3 })
  t.match(await moniker(t, ['exec', 'no-such-program'], { port }).ended, {
    status: 1,
    stderr: /^moniker: no-such-program cannot be run/,
  })
})

test('its input is the program’s', async t => {
  const { child, ended } = moniker(t, ['exec', 'cat'], { port: await nobody() })
  child.stdin.end('typed')
  t.match(await ended, { status: 0, stdout: 'typed' })
})

test('what it would run is printed as a shell runs it', alone, async t => {
  const text = await printed(t, execCommand, '--print', 'lynx', '-dump', 'reynolds:http://ietf.org')
  t.match(
    text,
    /^env -u SOCKS5_PROXY -u no_proxy -u NO_PROXY \\\n {2}reynolds_proxy=http:.*PORT \\\n/,
  )
  t.match(text, /\\\n {2}lynx -dump reynolds:http:\/\/ietf.org\n$/)
  const rewritten = await printed(t, execCommand, '--print', 'curl', 'web://h', "it's here")
  t.match(rewritten, "\\\n  curl http://web.at.h.moniker.internal 'it'\\''s here'\n")
  const same = await printed(t, execCommand, '--print', '--no-rewrite', '--', 'curl', 'web://h')
  t.match(same, '\\\n  curl web://h\n')
  const preloaded = await printed(t, execCommand, '--print', '--preload', 'psql', '-h', 'db')
  t.match(preloaded, '\\\n  proxychains4 -q -f FILE psql -h db\n')
})

test('an argument that no host name means is refused', alone, async t => {
  await t.rejects(printed(t, execCommand, 'curl', 'web@1://h'), { message: /^curl can ask for/ })
})

/** A stand-in for proxychains4, which shows its settings and runs what it is to run. */
const preloader = `#!/bin/sh
cat "$3" >&2
shift 3
exec "$@"
`

test('a program that knows no proxy is preloaded', async t => {
  const folder = t.testdir({ tmp: {}, bin: { proxychains4: preloader } })
  chmodSync(join(folder, 'bin', 'proxychains4'), 0o755)
  const env = {
    PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}`,
    TMPDIR: join(folder, 'tmp'),
  }
  const command = ['sh', '-c', 'echo $SOCKS5_PROXY; exit 4']
  const options = { port: await nobody(), env }
  const { status, stdout, stderr } = await moniker(t, ['exec', '--preload', ...command], options)
    .ended
  t.equal(status, 4)
  const [, host, port] = /^(.+):(\d+)\n$/.exec(stdout)!
  t.equal(
    stderr,
    `strict_chain\nproxy_dns\nlocalnet 127.0.0.0/255.0.0.0\nlocalnet ::1/128\n[ProxyList]\nsocks5 ${host} ${port}\n`,
  )
  t.strictSame(readdirSync(join(folder, 'tmp')), [], 'its settings are gone')
})

test('where what preloads is missing, it is said how to get it', async t => {
  const env = { PATH: t.testdir() }
  const { ended } = moniker(t, ['exec', '--preload', 'psql'], { port: await nobody(), env })
  t.match(await ended, {
    status: 1,
    stderr: /^moniker: proxychains4 is not installed.*apt install proxychains4/,
  })
})

test('programs of Node load our hook beside what they load already', async t => {
  const folder = t.testdir({ 'exec.cjs': '', 'gateways-hook.mjs': '' })
  const here = pathToFileURL(join(folder, 'exec.cjs')).href
  const hook = `--import=${new URL('gateways-hook.mjs', here).href}`
  t.strictSame(hooked(here, {}), { NODE_OPTIONS: hook })
  t.strictSame(hooked(here, { NODE_OPTIONS: '--no-warnings' }), {
    NODE_OPTIONS: `--no-warnings ${hook}`,
  })
  t.strictSame(hooked(pathToFileURL(join(t.testdir(), 'exec.cjs')).href, {}), {})
})
