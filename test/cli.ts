import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { connectCommand } from '../lib/commands/connect.ts'
import { daemonCommand } from '../lib/commands/daemon.ts'
import { envCommand } from '../lib/commands/env.ts'
import { listenCommand } from '../lib/commands/listen.ts'
import { lsCommand } from '../lib/commands/ls.ts'
import { registerCommand } from '../lib/commands/register.ts'
import { resolveCommand } from '../lib/commands/resolve.ts'
import { runCommand } from '../lib/commands/run.ts'
import { statusCommand } from '../lib/commands/status.ts'
import { waitCommand } from '../lib/commands/wait.ts'
import { moniker } from './fixtures/command.ts'
import { daemon } from './fixtures/daemon.ts'

test('the exit status tells success, failure and wrong usage apart', async t => {
  const { port } = await daemon(t)
  const cases: [args: string[], status: number, stdout: RegExp, stderr: RegExp][] = [
    [['--version'], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
    [['complete', '--', 'res'], 0, /^resolve\t.*\n$/, /^$/],
    [['complete', 'res'], 0, /^resolve\t.*\n$/, /^$/],
    [['ls'], 0, /^NAME .*\n$/, /^$/],
    [['resolve', 'tie'], 1, /^$/, /^moniker: ECONNREFUSED: tie is not offered at .*\n$/],
    [[], 2, /^$/, /listen .*connect .*run .*ls .*status .*daemon .*Exit status/s],
    [['resolve', '80'], 2, /^$/, /^moniker: ERR_MONIKER_NAME: expected a name .* got "80"\n$/],
    [
      ['run', 'web', 'python3', '-m', 'http.server'],
      2,
      /^$/,
      /unknown option '-m'\n\(.* after -- /,
    ],
    [['policy', 'check'], 2, /^$/, /^error: missing required argument 'file'/],
    [['daemon', '--policy', '/no/such'], 1, /^$/, /^monikerd: ERR_MONIKER_POLICY: .*\n$/],
    [['ls', '--nonsense'], 2, /^$/, /^error: unknown option '--nonsense'/],
  ]
  const runs = cases.map(([args]) => moniker(t, args, { port }).ended)
  for (const [index, [args, status, stdout, stderr]] of cases.entries()) {
    t.match(await runs[index], { status, stdout, stderr }, args.join(' '))
  }
})

test('the help of each command says what it takes, and where its daemon is', async t => {
  const daemonPort = /--daemon-port <number> .*MONIKER_PORT/s
  const cases = [
    [connectCommand, /^Usage: connect \[options\] <name> \[host\]/, daemonPort, /ProxyCommand/],
    [daemonCommand, /^Usage: daemon \[options\]/, /--port .*MONIKER_PORT/s, /SIGTERM and SIGINT/],
    [envCommand, /^Usage: env \[options\] <name/, daemonPort, /eval/],
    [waitCommand, /^Usage: wait \[options\] <name/, daemonPort, /--timeout/],
    [listenCommand, /^Usage: listen \[options\] <name>/, daemonPort, /--keep-open --exec cat/],
    [lsCommand, /^Usage: ls \[options\] \[host\]/, daemonPort, /--namespace/],
    [registerCommand, /^Usage: register .*<name> <port>.*--file/s, daemonPort, /db@16.1.0: 5432/],
    [resolveCommand, /^Usage: resolve \[options\] <name> \[host\]/, daemonPort, /--json/],
    [runCommand, /^Usage: run \[options\] \[name\] -- <command/, daemonPort, /web -- python3/],
    [statusCommand, /^Usage: status \[options\] \[host\]/, daemonPort, /--json/],
  ] as const
  for (const [command, ...patterns] of cases) {
    const stdout = t.capture(process.stdout, 'write', () => true)
    command.outputHelp()
    stdout.restore()
    const help = stdout.args().join('')
    for (const pattern of patterns) t.match(help, pattern)
  }
})

const full = { skip: !existsSync('/dev/full') && 'this host has no file that is always full' }

test('output that could not all be written is a failure', full, async t => {
  const cli = fileURLToPath(new URL('../lib/cli.ts', import.meta.url))
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  const child = spawn(process.execPath, [...process.execArgv, cli, 'completion', 'fish'], {
    stdio: ['ignore', full, 'pipe'],
  })
  let said = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text))
  t.same(await once(child, 'close'), [1, null])
  t.match(said, /^moniker: ENOSPC: .*\n$/)
})
