import { readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { t, test, type Test } from 'tap'
import { openers } from '../../lib/commands/open.ts'
import { moniker, type Running } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

/** A browser in a folder that notes there the URLs that it is to open, and ends with a status. */
function browser(folder: string, name = 'browser', status = 'exit 0') {
  const [file, notes] = [join(folder, name), join(folder, `${name}.notes`)]
  writeFileSync(file, `#!/bin/sh\necho "$@" >>"${notes}"\n${status}\n`, { mode: 0o755 })
  return { file, opened: () => readFileSync(notes, 'utf8') }
}

/** Calls `moniker open` where there is a gateway at port 6680. */
function open(t: Test, port: number, BROWSER: string, ...args: string[]): Running {
  return moniker(t, ['open', ...args], {
    port,
    env: { BROWSER, MONIKER_GATEWAY: 'http://localhost:6680' },
  })
}

test('a browser is opened at the address by the gateway, and that is said', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'ns:web', daemonPort: port, metadata: { path: '/docs/' } })
  const { file, opened } = browser(t.testdir())
  const url = 'http://web.ns.localhost:6680'
  const { stdout, stderr, status } = await open(t, port, file, 'ns:web').ended
  t.match([stdout, stderr, status], ['', `moniker: opening ${url}/docs/ with ${file}\n`, 0])
  const call = open(t, port, `${file} --new %s now`, 'ns:web://localhost/a?b=1&c=2')
  t.equal((await call.ended).status, 0)
  const home = open(t, port, file, 'web', '--namespace', 'ns')
  t.equal((await home.ended).status, 0)
  const lines = [`${url}/docs/`, `--new ${url}/a?b=1&c=2 now`, `${url}/docs/`]
  t.equal(opened(), lines.map(line => `${line}\n`).join(''))
})

test('a browser that fails makes room for the next', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'web', daemonPort: port })
  const folder = t.testdir()
  const bad = browser(folder, 'bad', 'exit 3')
  const killed = browser(folder, 'killed', 'kill -9 $$')
  const good = browser(folder)
  const missing = join(folder, 'missing')
  const both = await open(t, port, [missing, bad.file, good.file].join(delimiter), 'web').ended
  t.equal(both.status, 0)
  t.equal(good.opened(), 'http://web.localhost:6680/\n')
  const all = [missing, bad.file, killed.file].join(delimiter)
  const { status, stderr } = await open(t, port, all, 'web').ended
  t.equal(status, 1)
  const failures = [
    `${missing} cannot be run (ENOENT)`,
    `${bad.file} has ended with 3`,
    `${killed.file} has ended with a signal`,
  ]
  const say = 'open http://web.localhost:6680/ yourself, or name a browser in BROWSER'
  t.ok(stderr.endsWith(`moniker: ${failures.join(', ')}; ${say}\n`), stderr)
})

test('without BROWSER it is that of the system', async t => {
  const url = 'http://web.localhost/'
  t.strictSame(openers(url, {}, 'linux'), [['xdg-open', url]])
  t.strictSame(openers(url, { BROWSER: '' }, 'freebsd'), [['xdg-open', url]])
  t.strictSame(openers(url, { BROWSER: ' ' }, 'darwin'), [['open', url]])
  const windows = ['rundll32', 'url.dll,FileProtocolHandler', url]
  t.strictSame(openers(url, {}, 'win32'), [windows])
  t.strictSame(openers(url, { BROWSER: `a -b${delimiter}c` }), [
    ['a', '-b', url],
    ['c', url],
  ])
})

test('it is opened by the command of the system', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'web', daemonPort: port })
  const [[command] = []] = openers('', {})
  const folder = t.testdir()
  const { opened } = browser(folder, command)
  const env = { PATH: `${folder}${delimiter}${process.env.PATH}`, BROWSER: '' }
  const call = moniker(t, ['open', 'web'], {
    port,
    env: { ...env, MONIKER_GATEWAY: 'http://localhost:6680' },
  })
  t.match(await call.ended, { status: 0, stderr: / with \w[\w-]+\n$/ })
  t.equal(opened(), 'http://web.localhost:6680/\n')
})
