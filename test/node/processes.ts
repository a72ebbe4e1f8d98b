import { test } from 'tap'
import { droppedVariables, processName } from '../../lib/node/processes.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux tells of processes' }

test('a process has the name of its program, whatever its main thread is called', async t => {
  const folder = t.testdir({
    1: { comm: 'sleep\n', cmdline: 'sleep\x005\0' },
    2: { comm: 'MainThread\n', cmdline: '/usr/bin/node\0--inspect\0' },
    3: { comm: 'node-MainThread\n', cmdline: '' },
  })
  const names = ['1', '2', '3', '4'].map(one => processName(one, folder))
  t.strictSame(await Promise.all(names), ['sleep', 'node', 'node-MainThread', ''])
})

test('variables that an ancestor had and this process has not are told', linux, async t => {
  const [path, ...others] = await droppedVariables(/^PATH$/, {})
  t.match(path, { name: 'PATH', value: /./, from: { pid: process.ppid, name: /./ } })
  t.strictSame(others, [], 'by the nearest')
  t.strictSame(await droppedVariables(/^PATH$/, { PATH: '' }), [])
  t.strictSame(await droppedVariables(/^NO_SUCH_VARIABLE$/), [])
})
