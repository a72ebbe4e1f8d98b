import { execFileSync } from 'node:child_process'
import { test } from 'tap'
import { envCommand } from '../../lib/commands/env.ts'
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
