import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test, type Test } from 'tap'
import { Program, type Beside } from '../../lib/commands/program.ts'
import { portOf } from '../fixtures/services.ts'

const idle: Beside = async (_pid, signal) => void (await once(signal, 'abort'))

/** How it goes on: with the same environment. */
const as = (tell: (text: string) => void) => ({ tell, renew: async () => process.env })

/** A program in the words of a shell, or in others. */
function shell(t: Test, script: string, beside = idle, words = ['bash', '-c', script]): Program {
  const before = new Map(SIGNALS.map(signal => [signal, process.listeners(signal)]))
  t.teardown(() => {
    for (const [signal, listeners] of before) {
      for (const listener of process.listeners(signal)) {
        if (!listeners.includes(listener)) process.off(signal, listener)
      }
    }
  })
  return new Program(words, process.env, beside)
}

const SIGNALS = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const

test('the status of a program is its own, or that of a signal', async t => {
  t.equal(await shell(t, 'exit 0').run(), 0)
  t.equal(await shell(t, 'exit 3').run(), 3)
  t.equal(await shell(t, 'kill -TERM $$').run(), 143)
})

test('a program that cannot be started is said to be missing', async t => {
  const program = shell(t, '', idle, ['no-such-command'])
  await t.rejects(program.run(), { message: /^no-such-command cannot be run \(.*ENOENT\)/ })
})

test('what is done beside it is told when it ends, and ends it by failing', async t => {
  let over = false
  await shell(t, 'exit 0', async (pid, signal) => {
    t.ok(pid > 0)
    await once(signal, 'abort')
    over = true
  }).run()
  t.equal(over, true)

  const error = new Error('its name is taken')
  const failing = shell(t, 'exec sleep 60', async () => Promise.reject(error))
  await t.rejects(failing.persist(as(t.fail)), error)

  const late = shell(t, 'exit 4', async (_pid, signal) => {
    await once(signal, 'abort')
    throw error
  })
  t.equal(await late.run(), 4, 'a failure that comes after the end is none')
})

/** Where a script says that it is ready, in words that say so, and the wait for that. */
async function readiness(t: Test) {
  const server = createServer(socket => socket.destroy())
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const say = `exec 3<>/dev/tcp/127.0.0.1/${portOf(server)}`
  return { say, ready: () => once(server, 'connection') }
}

test('our signals go to it while it runs', async t => {
  const { say, ready } = await readiness(t)
  const program = shell(t, `trap 'kill $!; exit 5' USR1; sleep 60 & ${say}; wait`)
  const status = program.run()
  await ready()
  process.emit('SIGUSR1')
  t.equal(await status, 5)
  process.emit('SIGUSR1')
})

test('a program that crashes is started again after ever longer pauses, until it does not', async t => {
  const count = join(t.testdir(), 'count')
  process.env.COUNT = count
  t.teardown(() => delete process.env.COUNT)
  const program = shell(t, 'echo x >> "$COUNT"; test "$(wc -l < "$COUNT")" -ge 3 || exit 7')
  const lines: string[] = []
  t.equal(await program.persist(as(line => void lines.push(line))), 0)
  t.same(lines, [
    'bash has crashed with status 7; again in 100 ms',
    'bash has crashed with status 7; again in 200 ms',
  ])
})

test('one that had run for long is started again soon', async t => {
  let now = 0
  t.intercept(performance, 'now', { value: () => (now += 20_000) })
  const program = shell(t, 'exit 7')
  const lines: string[] = []
  const told = as(line => {
    if (lines.push(line) === 3) process.emit('SIGTERM')
  })
  const status = program.persist(told)
  t.equal(await status, 7)
  t.same(
    lines,
    Array.from({ length: 3 }, () => 'bash has crashed with status 7; again in 100 ms'),
  )
})

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test(`one that is ended by our ${signal} is not started again`, async t => {
    const program = shell(t, 'exec sleep 60', async (_pid, over) => {
      process.emit(signal)
      await once(over, 'abort')
    })
    t.ok((await program.persist(as(t.fail))) > 128)
  })

  test(`one that has crashed is not started again after ${signal}`, async t => {
    const lines: string[] = []
    const told = as(line => {
      lines.push(line)
      process.emit(signal)
    })
    const status = shell(t, 'exit 7').persist(told)
    t.equal(await status, 7)
    t.equal(lines.length, 1)
  })
}

test('one that takes SIGHUP for something else is started again when it crashes', async t => {
  const { say, ready } = await readiness(t)
  let starts = 0
  const program = shell(t, `trap '' HUP; ${say}; exec sleep 60`, async (pid, over) => {
    await ready()
    process.emit('SIGHUP')
    if (++starts === 2) process.emit('SIGTERM')
    else process.kill(pid, 'SIGKILL')
    await once(over, 'abort')
  })
  t.equal(await program.persist(as(() => {})), 143)
  t.equal(starts, 2)
})

test('a terminal has sent SIGINT to it already', async t => {
  t.intercept(process.stdin, 'isTTY', { value: true })
  const program = shell(t, 'exec sleep 60', async (pid, over) => {
    process.emit('SIGINT')
    process.kill(pid, 'SIGTERM')
    await once(over, 'abort')
  })
  t.equal(await program.run(), 143)
})

test('each start has the environment of that time, or the last that could be had', async t => {
  const lines: string[] = []
  const tell = (line: string) => void lines.push(line)
  const errors = [new Error('db is not there')]
  const renew = async () => {
    const error = errors.pop()
    if (error) throw error
    return { ...process.env, STATUS: '0' }
  }
  t.equal(await shell(t, 'exit ${STATUS:-7}').persist({ tell, renew }), 0)
  t.match(lines, [/again in 100 ms/, 'db is not there', /again in 200 ms/])
})

test('a signal ends the wait for what it needs', async t => {
  const renew = async (signal: AbortSignal) => {
    process.emit('SIGTERM')
    signal.throwIfAborted()
    return process.env
  }
  t.equal(await shell(t, 'exit 7').persist({ tell: () => {}, renew }), 7)
})
