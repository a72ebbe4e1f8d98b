import t, { type Test } from 'tap'
import type { Command } from 'commander'
import { Resolver } from '../../lib/client/resolver.ts'
import { doctorCommand } from '../../lib/commands/doctor.ts'
import { envCommand } from '../../lib/commands/env.ts'
import { lsCommand } from '../../lib/commands/ls.ts'
import { resolveCommand } from '../../lib/commands/resolve.ts'
import { statusCommand } from '../../lib/commands/status.ts'
import { LineSplitter } from '../../lib/wire/splitter.ts'
import { decode, encode, idOf, type Answer } from '../../lib/wire/protocol.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { stranger } from '../fixtures/services.ts'

/** A title for the window, a cleared screen, a turned direction, and more that no command may pass on. */
const NASTY =
  'a\u001B]0;b\u0007\u009B2J\u202Ec\u2066d\u200B\uFEFF\u2028\u2029\u{E0041}\u007F\r\ne\uDC00'

const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

const endpoint = { transport: 'tcp', port: 80, version: NASTY, instance: NASTY }
const metadata = { [NASTY]: NASTY, scheme: NASTY, path: `/${NASTY}` }
const offer = { service: 'tie', version: '1.0.0', transport: 'tcp', port: 80, shared: NASTY }
const services = [{ ...offer, metadata, instance: NASTY }]

/** A daemon that answers each operation as it is told to. */
function daemon(t: Test, answers: Record<string, Answer>): Promise<number> {
  return stranger(t, socket => {
    socket.pipe(new LineSplitter()).on('data', (lines: string[]) => {
      for (const message of lines.map(line => decode(line))) {
        socket.write(encode(idOf(message), answers[message.op as string]!))
      }
    })
  })
}

function isHarmless(t: Test, text: string, about: string): void {
  for (const line of text.split('\n')) t.notMatch(line, STEERING, about)
}

t.test('whatever a daemon says, no command passes on what steers a terminal', async t => {
  t.teardown(() => (process.exitCode = undefined))
  const status = {
    [NASTY]: NASTY,
    pid: NASTY,
    started: NASTY,
    names: { toString: 1 },
    udp: [NASTY, { toString: NASTY }, null],
  }
  const port = await daemon(t, {
    status,
    resolve: { endpoints: [{ ...endpoint, metadata }], ttl: 0 },
    list: { services },
    watch: { services },
  })
  const at = ['127.0.0.1', '--daemon-port', String(port)]
  const calls: [command: Command, args: string[], data?: unknown][] = [
    [statusCommand, at, status],
    [lsCommand, at, [{ ...services[0], namespace: '', address: '::' }]],
    [resolveCommand, ['tie', ...at], { endpoints: [{ ...endpoint, metadata }] }],
    [envCommand, [`tie://127.0.0.1:${port}`], { TIE_HOST: '127.0.0.1', TIE_PORT: '80' }],
    [doctorCommand, at, [{ check: 'versions' }]],
  ]
  for (const [command, args, data] of calls) {
    const about = command.name()
    const text = await printed(t, command, ...args)
    t.match(text, /\w/)
    isHarmless(t, text, about)
    const json = await printed(t, command, ...args, '--json')
    isHarmless(t, json, `${about} --json`)
    t.match(JSON.parse(json), data, `and ${about} --json says the same as it was told`)
  }
  for (const args of [[], ['--json']]) {
    const { child, said, ended } = moniker(t, ['watch', 'tie', ...at, ...args])
    await said(/tie.*\n/, 'stdout')
    child.kill()
    const { stdout } = await ended
    isHarmless(t, stdout, `watch ${args.join()}`)
  }
  t.match(await new Resolver({ port }).status({ host: '127.0.0.1' }), status, 'the API says all')
})

/** A daemon that refuses all that it is asked. */
function refusing(t: Test, code: string): Promise<number> {
  const error = { error: { code, message: NASTY, offered: [NASTY] } }
  const operations = ['status', 'resolve', 'list', 'watch', 'register', 'reserve']
  return daemon(t, Object.fromEntries(operations.map(op => [op, error])))
}

t.test('nor does an error, whichever command it ends', async t => {
  const port = await refusing(t, 'EDENIED')
  const other = await refusing(t, 'EVERSION')
  const at = ['127.0.0.1', '--daemon-port', String(port)]
  const calls = [
    ['status', ...at],
    ['ls', ...at],
    ['watch', 'tie', ...at],
    ['resolve', 'tie', ...at],
    ['resolve', `tie://127.0.0.1:${other}`],
    ['env', `tie://127.0.0.1:${other}`, '--wait', '100ms'],
    ['wait', `tie://127.0.0.1:${other}`, '--timeout', '100ms'],
    ['connect', `tie://127.0.0.1:${other}`],
    ['doctor', ...at],
    ['run', 'tie', '--daemon-port', String(port), '--', 'true'],
  ]
  for (const args of calls) {
    const { status, stdout, stderr } = await moniker(t, args, { port }).ended
    t.not(status, 0, args.join(' '))
    t.match(stdout + stderr, 'c d', 'it says what it was told')
    isHarmless(t, stdout + stderr, args.join(' '))
  }
})

t.test('nor does an error of the API, whose fields are as they came', async t => {
  for (const code of ['EVERSION', 'EDENIED', 'ETAKEN', 'EUNHEARD', NASTY]) {
    const port = await refusing(t, code)
    const resolved = new Resolver({ port }).resolve('tie', { host: '127.0.0.1' })
    const thrown = (await resolved.catch((error: unknown) => error)) as Answer & Error
    isHarmless(t, thrown.message, 'whatever its code is')
    t.match(thrown, { offered: [NASTY], text: NASTY })
  }
})
