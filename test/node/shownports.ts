import { spawnSync } from 'node:child_process'
import t from 'tap'
import { ShownPorts, shownPorts } from '../../lib/node/shownports.ts'
import { withoutUnix } from '../fixtures/beside.ts'

t.test('no two connections show the same port, while there are enough', t => {
  const taken: number[] = []
  const ports = new ShownPorts(block => block % 2 === 0 && taken.push(block) > 0)
  const all = Array.from({ length: 15_360 }, () => ports.take())
  t.equal(new Set(all).size, all.length)
  for (const port of all) if (port < 2_048 || port > 32_767) t.fail(String(port))
  t.equal(new Set(taken).size, 240, 'each block is taken once')
  const more = Array.from({ length: 1_000 }, () => ports.take())
  t.ok(new Set([...all, ...more]).size < 16_360, 'then they do')
  t.end()
})

t.test('a port that was given back is shown again, after all others', t => {
  const ports = new ShownPorts(() => true)
  const first = Array.from({ length: 64 }, () => ports.take())
  for (const port of first) ports.giveBack(port)
  ports.giveBack(1)
  t.strictSame(
    Array.from({ length: 64 }, () => ports.take()),
    first,
  )
  t.end()
})

t.test('where others have all, that is found out once, and a port costs little from then on', t => {
  const free = new Set<number>()
  const tried: number[] = []
  const ports = new ShownPorts(block => {
    tried.push(block)
    return free.delete(block)
  })
  ports.take()
  t.equal(new Set(tried).size, 480)
  tried.splice(0)
  for (let count = 0; count < 479; count++) ports.take()
  t.equal(tried.length, 479, 'one block is tried for each')
  const last = tried.at(-1)!
  free.add(last)
  for (let count = 0; count < 479; count++) ports.take()
  t.equal(free.size, 1)
  const port = ports.take()
  t.equal(free.size, 0, 'one that is free again is found')
  t.equal(Math.floor((port - 2_048) / 64), last)
  t.equal(new Set(Array.from({ length: 63 }, () => ports.take())).size, 63)
  t.end()
})

t.test('nor do those of two processes', { skip: withoutUnix }, t => {
  const file = new URL('../../lib/node/shownports.ts', import.meta.url).href
  const take = `Array.from({ length: 200 }, () => shownPorts.take())`
  const program = `import(${JSON.stringify(file)}).then(({ shownPorts }) => console.log(${take}.join()))`
  const args = ['--import', './test/fixtures/strip.js', '-e', program]
  const ours = Array.from({ length: 200 }, () => shownPorts.take())
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const theirs = stdout.trim().split(',').map(Number)
  t.equal(new Set([...ours, ...theirs]).size, 400)
  t.end()
})
