// Servers and daemons that are processes of their own, and are killed, stopped, restarted and moved in an
// order drawn by lot: whoever watches knows what lives, and whoever waits or comes back gets there.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { freePort } from '../../lib/node/proc.ts'
import { Cast, DAEMON, type Deed } from '../fixtures/cast.ts'
import { moniker } from '../fixtures/command.ts'
import { Onlookers, daemonNow, reach } from '../fixtures/onlookers.ts'

const SERVICES = ['a', 'b', 'c']

type Step = [who: string, deed: Deed]

/** All that can be done, in any order. */
const scripts = fc.shuffledSubarray<Step>(
  [...SERVICES, DAEMON].flatMap(who => {
    const deeds: Deed[] = ['kill', 'stop', 'restart', who === DAEMON ? 'kill' : 'move']
    return deeds.map((deed): Step => [who, deed])
  }),
  { minLength: 16 },
)

/** Plays before onlookers, and sees that each of them knows what is so. */
class Stage {
  readonly #t: Test
  readonly #cast: Cast
  readonly #onlookers: Onlookers
  readonly #ended: string[] = []
  /** Those that were killed with the daemon in them: nobody can tell that they have not just lost it. */
  readonly #doubted: string[] = []

  constructor(t: Test, port: number) {
    this.#t = t
    this.#cast = new Cast(t, port)
    this.#onlookers = new Onlookers(t, SERVICES)
  }

  async step(who: string, deed: Deed): Promise<void> {
    const before = this.#cast.lives
    const visits = this.#visits
    const isDoubtful = deed === 'kill' && this.#cast.pid(who) === (await daemonNow())
    this.#onlookers.wait(before)
    await this.#cast.play(who, deed)
    const after = this.#cast.lives
    // Before anybody can know that what has ended has.
    this.#onlookers.wait(after)
    for (const [service, life] of before) {
      if (after.get(service) === life) continue
      if (isDoubtful) this.#doubted.push(life)
      else await this.#knownToEnd(life)
    }
    for (const [service, life] of after) await this.#knownToLive(service, life)
    this.#t.same(
      this.#onlookers.lives.filter(life => !this.#doubted.includes(life)),
      [...after.values()].sort(),
    )
    const daemon = await daemonNow()
    await this.#onlookers.until('the daemon tells', () => this.#onlookers.daemon === daemon)
    for (const [service, life] of after) this.#t.same([...(await reach(service))], [life])
    if (who === DAEMON) this.#t.same(this.#visits, visits, 'no connection minds the daemon')
  }

  /** Has all live in the end; nothing was told twice, or was not so. */
  async end(): Promise<void> {
    const absent = SERVICES.filter(service => !this.#cast.lives.has(service))
    for (const service of absent) await this.step(service, 'stop')
    const { up, down } = this.#onlookers.told
    const lives = [...this.#doubted, ...this.#ended, ...this.#cast.lives.values()]
    this.#t.same(down.toSorted(), this.#ended.toSorted())
    this.#t.same(up.toSorted(), lives.toSorted())
  }

  async #knownToEnd(life: string): Promise<void> {
    const { down } = this.#onlookers.told
    this.#ended.push(life)
    await this.#onlookers.until(`${life} is down`, () => down.includes(life))
  }

  async #knownToLive(service: string, life: string): Promise<void> {
    const { told, found } = this.#onlookers
    await this.#onlookers.until(`${life} is up`, () => told.up.includes(life))
    this.#t.notOk(told.down.includes(life), `${life} is not told to be down`)
    this.#t.same([...(await this.#onlookers.arrive(service))], [life])
    await this.#onlookers.until(
      `somebody comes back to ${life}`,
      () => found.get(service)!.at(-1) === life,
    )
  }

  get #visits(): number[] {
    return [...this.#onlookers.found.values()].map(({ length }) => length)
  }
}

async function play(t: Test, steps: Step[]): Promise<void> {
  const port = await freePort()
  process.env.MONIKER_PORT = String(port)
  t.teardown(() => delete process.env.MONIKER_PORT)
  const { ended } = moniker(t, ['wait', ...SERVICES, '--timeout', '10m'])
  const stage = new Stage(t, port)
  for (const [who, deed] of steps) {
    t.comment(`${who}: ${deed}`)
    await stage.step(who, deed)
  }
  await stage.end()
  t.match(await ended, { status: 0, stdout: '', stderr: '' }, 'whoever has waited for all goes on')
}

t.test('all know what lives, whatever becomes of whom', async t => {
  const [script] = fc.sample(scripts, { numRuns: 1, seed: 6664 })
  await play(t, script!)
})
