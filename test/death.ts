import { t, test } from 'tap'
import { Resolver } from '../lib/client/resolver.ts'
import { World } from './fixtures/chaos/world.ts'

t.setTimeout(120_000)

/** A host of our own with a daemon that stands alone. */
const world = await World.make({ ready: 2 })
t.teardown(() => world.end())
await world.stand()

test('the name of a program that is killed goes with it', async t => {
  const instance = await world.listen('killed', false)
  t.same(await world.resolve('killed'), [instance.port])
  await world.kill(instance)
  const killed = performance.now()
  const isListed = async () =>
    (await new Resolver({ port: world.port }).list()).some(({ service }) => service === 'killed')
  while (await isListed());
  t.comment(`${(performance.now() - killed).toFixed(1)} ms`)
  t.same(await world.resolve('killed'), [])
})

test('a program that is started again at once does not clash with its last run', async t => {
  for (let run = 0; run < 5; run++) {
    const instance = await world.listen('again', false)
    t.same(await world.resolve('again'), [instance.port])
    await world.kill(instance)
  }
})

test('a name that is taken is said to be, and by which process', async t => {
  const { child } = await world.listen('taken', false)
  await t.rejects(world.listen('taken', false), {
    message: new RegExp(`EADDRINUSE: taken@0.0.0 is already .* by process ${child.pid} `),
  })
})

test('a program that stands still is not dead', async t => {
  const instance = await world.listen('still', false)
  instance.child.kill('SIGSTOP')
  t.same(await world.resolve('still'), [instance.port])
  instance.child.kill('SIGCONT')
})

test('programs that share a name take turns, and survive each other', async t => {
  const all = await Promise.all([1, 2, 3].map(() => world.listen('shared', true)))
  const first = async (times: number) => {
    const firsts: number[] = []
    while (firsts.length < times) firsts.push((await world.resolve('shared'))[0]!)
    return firsts.sort()
  }
  const ports = all.map(({ port }) => port).sort()
  t.same(await first(3), ports)
  await world.kill(all[0]!)
  while ((await world.resolve('shared')).length > 2);
  t.same(
    await first(2),
    ports.filter(port => port !== all[0]!.port),
  )
})

test('a program that stood still while the daemon was another has its name back', async t => {
  const elder = await world.listen('elder', false)
  elder.child.kill('SIGSTOP')
  world.standing!.kill('SIGKILL')
  const younger = await world.listen('elder', false)
  t.same(await world.resolve('elder'), [younger.port])
  elder.child.kill('SIGCONT')
  while ((await world.resolve('elder'))[0] !== elder.port);
  while (world.violations.length === 0) await new Promise(setImmediate)
  t.same(world.violations, ['elder: ETAKEN'], 'the younger is told')
})
