import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { test, type Test } from 'tap'
import {
  MARK,
  end,
  endingWithUs,
  marked,
  newMark,
  orphans,
  watchOver,
} from '../../lib/commands/orphans.ts'
import { apart, island } from '../fixtures/apart.ts'
import { pidNamespace } from '../../lib/node/spaces.ts'
import { nobody } from '../fixtures/services.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux has /proc' }

/** A process that carries a mark, and goes with the test. */
async function carrier(
  t: Test,
  mark: string,
  script = 'sleep 60',
  options: { uid?: number } = {},
): Promise<ChildProcess> {
  const env = { ...process.env, [MARK]: mark }
  const child = spawn('sh', ['-c', `echo; ${script}`], { env, ...options })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  // The shell becomes another program a moment later.
  while (script.startsWith('exec') && commandOf(child) === 'sh') await setImmediate()
  return child
}

function commandOf({ pid }: ChildProcess): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
}

/** A mark of a run that is over. */
async function oldMark(): Promise<string> {
  const child = spawn('true')
  await once(child, 'exit')
  return `${child.pid}-${pidNamespace()}-0123456789abcdef`
}

test('a mark is that of one run, and is found on what it has started', linux, async t => {
  const mark = newMark()
  t.match(mark, new RegExp(`^${process.pid}-\\d+-[0-9a-f]{16}$`))
  t.not(newMark(), mark)
  t.same(await marked(mark), [])
  const child = await carrier(t, mark, 'exec sleep 60')
  t.same(await marked(mark), [{ pid: child.pid, mark, name: 'sleep' }])
  t.same(
    (await orphans()).filter(one => one.mark === mark),
    [],
    'its run is alive',
  )
})

test('what a run has left is asked to end, and then killed', linux, async t => {
  t.same(await end(async () => []), [])
  const mark = await oldMark()
  const polite = await carrier(t, mark, 'exec sleep 60')
  const stubborn = await carrier(t, mark, "trap '' TERM; while :; do read -r line; done")
  const ends = Promise.all([once(polite, 'exit'), once(stubborn, 'exit')])
  await end(async () => (await orphans()).filter(one => one.mark === mark))
  t.same(await ends, [
    [null, 'SIGTERM'],
    [null, 'SIGKILL'],
  ])
})

test('the doctor finds what was left, and ends it', island, async t => {
  const env = { MONIKER_PORT: String(await nobody()) }
  const script = `
    ip link set lo up
    space=$(readlink /proc/self/ns/pid | tr -dc 0-9)
    ${MARK}=99999-$space-0123456789abcdef sleep 60 & child=$!
    ${MARK}=99999-1-0123456789abcdef sleep 60 & other=$!
    echo "$child $other"
    $MONIKER doctor
    $MONIKER doctor --prune 2>&1
    kill -0 $other && echo "the other goes on"; kill $other`
  const { stdout } = apart(script, env)
  const [, child, other] = /^(\d+) (\d+)$/m.exec(stdout)!
  const text = `a moniker run that has ended has left process ${child} \\(sleep\\)`
  t.match(stdout, new RegExp(`hint  runs +${text}\n +moniker doctor --prune`))
  t.match(stdout, `moniker: ended process ${child} (sleep)\n`)
  t.notMatch(stdout, `process ${other}`, 'the run of the other is in another namespace')
  t.match(stdout, 'the other goes on')
})

test('where there is no /proc, ps tells', linux, async t => {
  const mark = newMark()
  const folder = t.testdir()
  const ps = join(folder, 'ps')
  const lines = [
    `  ${process.ppid} /usr/bin/python3 -m http.server ${MARK}=${mark} HOME=/`,
    '  2 login HOME=/',
    'nonsense',
  ]
  writeFileSync(ps, `#!/bin/sh\ncat <<'X'\n${lines.join('\n')}\nX\n`)
  chmodSync(ps, 0o755)
  const { PATH } = process.env
  t.teardown(() => (process.env.PATH = PATH))
  t.intercept(process, 'platform', { value: 'darwin' })
  process.env.PATH = `${folder}:${PATH}`
  t.same(await marked(mark), [{ pid: process.ppid, mark, name: '/usr/bin/python3' }])
  process.env.PATH = '/nowhere'
  t.same(await marked(), [])
  t.same(endingWithUs(['true']), ['true'])
  const release = await watchOver(mark)
  release()
})

test(
  'a program is bound to our end where there is a tool for it, and the program',
  linux,
  async t => {
    const { PATH } = process.env
    t.teardown(() => (process.env.PATH = PATH))
    const folder = t.testdir()
    const setpriv = (script: string) => {
      writeFileSync(join(folder, 'setpriv'), `#!/bin/sh\n${script}\n`)
      chmodSync(join(folder, 'setpriv'), 0o755)
    }
    process.env.PATH = `${folder}:${PATH}`
    setpriv('exit 0')
    const call = ['setpriv', '--pdeathsig', 'KILL', '--']
    t.same(endingWithUs(['true', 'x']), [...call, 'true', 'x'])
    t.same(endingWithUs(['/bin/sh']), [...call, '/bin/sh'])
    t.same(endingWithUs(['no-such-command']), ['no-such-command'])
    setpriv('exit 1')
    t.same(endingWithUs(['true']), ['true'])
    delete process.env.PATH
    t.same(endingWithUs(['true']), ['true'])
  },
)

test('a watcher that was told that all is well ends nothing', linux, async t => {
  const mark = newMark()
  const child = await carrier(t, mark, 'exec sleep 60')
  const release = await watchOver(mark)
  release()
  // Its command line has the mark.
  while (spawnSync('pgrep', ['-f', mark]).status === 0) await setImmediate()
  t.equal(child.exitCode ?? child.signalCode, null)
})

test('without a shell there is no watcher', linux, async t => {
  const { PATH } = process.env
  t.teardown(() => (process.env.PATH = PATH))
  process.env.PATH = '/nowhere'
  const release = await watchOver(newMark())
  release()
})

const root = { skip: process.getuid?.() !== 0 && 'only root can be somebody else' }

test('what another user has started is left alone', { skip: linux.skip || root.skip }, async t => {
  const mark = newMark()
  await carrier(t, mark, 'exec sleep 60', { uid: 12_345 })
  t.same(await marked(mark), [])
})
