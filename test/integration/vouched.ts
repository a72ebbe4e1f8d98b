// A client that the daemon vouches to, while servers and daemons that are processes of their own come, go, are killed,
// stand still and are exchanged in an order drawn by lot: nothing is missed, and nothing is gone to that is not there.
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { connect } from '../../index.ts'
import { heard } from '../../lib/async.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { sessions } from '../../lib/client/sessions.ts'
import { pause } from '../../lib/clock.ts'
import { freePort } from '../../lib/node/proc.ts'
import { serverSocket } from '../../lib/node/localsocket.ts'
import type { Leased, Resolving } from '../../lib/resolution.ts'
import type { OtherEndpoint } from '../../lib/wire/protocol.ts'
import { Cast, DAEMON, type Deed } from '../fixtures/cast.ts'
import { folder } from '../fixtures/localsocket.ts'

const SERVICE = 'tie'

/** The versions of the service, each of which is at most one server, the lowest first. */
const SERVERS = ['tie@1.0.0', 'tie@2.0.0', 'tie@3.0.0']

/** The end of a connect where there is no such name, or no daemon. */
const NONE = 'none'

/** The ends of a connect to what has closed, or was killed, on the way. */
const CLOSED = ['nothing', 'ECONNRESET', 'ECONNREFUSED']

/** Milliseconds between two connects. */
const PACE = 2

/** The deeds to a server. */
const DEEDS = {
  /** It comes, or closes. */
  turn: (play, who) => play.turn(who),
  kill: (play, who) => play.kill(who),
  /** It stands still for a moment. */
  freeze: (play, who) => play.freeze(who),
  /** The daemon stands still while it comes, or closes. */
  delay: (play, who) => play.delay(who),
} satisfies Record<string, (play: Play, who: string) => Promise<void>>

/** The deeds to a daemon that stands alone, or to what it says. */
const DAEMON_DEEDS = {
  /** It comes, and takes over from one in a server; or it ends. */
  turn: play => play.exchange('stop'),
  kill: play => play.exchange('kill'),
  restart: play => play.exchange('restart'),
  /** It reads a policy that denies the name, or does not any more. */
  reread: play => play.reread(),
  /** The connection over which it vouches closes. */
  hangUp: play => play.hangUp(),
  /** The socket of a server is removed. */
  unlink: play => play.unlink(),
} satisfies Record<string, (play: Play) => Promise<void>>

type Step = [does: string, deed: (play: Play) => Promise<void>]

/** All that can be done, in any order; what a server has to be there for comes twice. */
const scripts = fc.shuffledSubarray<Step>(
  [
    ...SERVERS.flatMap(who =>
      Object.entries({ ...DEEDS, back: DEEDS.turn }).map(([does, deed]): Step => [
        `${who}: ${does}`,
        play => deed(play, who),
      ]),
    ),
    ...Object.entries({ ...DAEMON_DEEDS, back: DAEMON_DEEDS.turn, again: DAEMON_DEEDS.reread }).map(
      ([does, deed]): Step => [`${DAEMON}: ${does}`, deed],
    ),
  ],
  { minLength: 20 },
)

/** A resolver that notes whether the last connect had to ask. */
class Noting extends Resolver {
  wasSure = false

  override leased(...question: Parameters<Resolver['leased']>): Leased | undefined {
    const found = super.leased(...question)
    this.wasSure = found !== undefined
    return found
  }
}

/** The world as it has to be, and a client that connects before, during and after each deed. */
class Play {
  readonly #t: Test
  readonly #port: number
  readonly #policy: string
  readonly #cast: Cast
  readonly #resolver: Noting
  /** Asks the daemon each time. */
  readonly #asking: Resolving
  #isDenied = false

  constructor(t: Test, port: number) {
    this.#t = t
    this.#port = port
    this.#policy = join(t.testdir(), 'policy.yml')
    this.#write()
    this.#cast = new Cast(t, port, ['--policy', this.#policy])
    this.#resolver = new Noting({ port })
    const other = new Resolver({ port })
    this.#asking = { resolve: other.resolve.bind(other), ask: other.ask.bind(other) }
    t.teardown(() => this.close())
  }

  /** The life that the name leads to. */
  get #expected(): string {
    const { lives } = this.#cast
    const highest = SERVERS.findLast(who => lives.has(who))
    const isDenied = this.#isDenied && this.#cast.pid(DAEMON) !== undefined
    return highest && !isDenied ? lives.get(highest)! : NONE
  }

  /** The other ends of connects while the daemon may go, too: names come back to the next one by one. */
  get #shaken(): string[] {
    return [NONE, ...this.#cast.lives.values()]
  }

  async turn(who: string): Promise<void> {
    const isSteady = this.#cast.pid(DAEMON) !== undefined
    // The daemon may be in the program that ends.
    const also = isSteady ? [] : [...CLOSED, ...this.#shaken]
    await this.#amid(() => this.#cast.play(who, 'stop'), also)
    await this.#check(isSteady)
  }

  async kill(who: string): Promise<void> {
    if (this.#cast.pid(who) === undefined) return this.turn(who)
    // Who has just come finds that it ends, or refuses before the daemon knows.
    const also = this.#cast.lives.get(who) === this.#expected ? CLOSED : []
    await this.#amid(() => this.#cast.play(who, 'kill'), [...also, ...this.#shaken])
  }

  async freeze(who: string): Promise<void> {
    const pid = this.#cast.pid(who)
    if (pid === undefined) return
    process.kill(pid, 'SIGSTOP')
    const going = this.#go()
    await heard()
    process.kill(pid, 'SIGCONT')
    this.#t.equal(await going, this.#expected)
  }

  async delay(who: string): Promise<void> {
    const daemon = this.#cast.pid(DAEMON)
    if (daemon === undefined) return this.turn(who)
    const before = this.#expected
    const path = await this.#path()
    await this.rest()
    process.kill(daemon, 'SIGSTOP')
    const turned = this.#cast.play(who, 'stop')
    if (path && existsSync(path)) this.#t.equal(await this.#go(), before, 'its last word stands')
    process.kill(daemon, 'SIGCONT')
    await turned
    await this.#check()
  }

  async unlink(): Promise<void> {
    const path = await this.#path()
    if (path) rmSync(path, { force: true })
    this.#t.equal(await this.#go(), this.#expected)
    // The server makes it again, as else there is no way that needs no question.
    while (path && !existsSync(path)) await pause(PACE)
  }

  async exchange(how: Deed): Promise<void> {
    await this.#amid(() => this.#cast.play(DAEMON, how), this.#shaken)
  }

  async reread(): Promise<void> {
    const daemon = this.#cast.pid(DAEMON)
    await this.#amid(async () => {
      this.#isDenied = !this.#isDenied
      this.#write()
      if (daemon !== undefined) process.kill(daemon, 'SIGHUP')
      await this.#known()
    })
    this.#t.equal(await this.#go(), this.#expected)
  }

  async hangUp(): Promise<void> {
    this.close()
    this.#t.equal(await this.#go(), this.#expected)
  }

  /** Has all come to rest, and the daemon vouch for what is there. */
  async rest(): Promise<void> {
    await this.#known()
    const expected = this.#expected
    do this.#t.equal(await this.#go(), expected, 'at rest')
    while (folder && expected !== NONE && !this.#resolver.wasSure)
  }

  close(): void {
    sessions.at({ address: '127.0.0.1', port: this.#port })?.close()
  }

  /**
   * Connects all the time while something is done: each comes to where the name led before, or where it leads after it,
   * or ends in one of the ways that are `also` to be expected. Who asks each time may find that the place has closed.
   */
  async #amid(deed: () => Promise<unknown>, also: readonly string[] = []): Promise<void> {
    const [ends, others] = [new Set<string>(), new Set<string>()]
    let isOver = false
    const goOn = async (to: Set<string>, resolver?: Resolving) => {
      do {
        to.add(await this.#go(resolver))
        await pause(PACE)
      } while (!isOver)
    }
    const before = this.#expected
    const going = [goOn(ends), goOn(others, this.#asking)]
    await deed()
    isOver = true
    await Promise.all(going)
    const expected = [before, this.#expected, ...also]
    this.#t.strictSame(unlike(ends, expected), [])
    this.#t.strictSame(unlike(others, [...expected, ...CLOSED]), [])
  }

  /** The socket by which the server that the name leads to is reached, if it has one. */
  async #path(): Promise<string | undefined> {
    if (this.#expected === NONE) return undefined
    const { endpoints } = await this.#resolver.resolve(SERVICE, { transports: ['unix', 'tcp'] })
    const { path, user } = endpoints[0]!.endpoints?.[0] ?? ({} as Partial<OtherEndpoint>)
    return path && serverSocket(path, user as number)
  }

  /** Nobody who has closed is reached; and after a question, if the daemon has not gone, the name leads where it has to. */
  async #check(isSteady = true): Promise<void> {
    const first = await this.#go()
    this.#t.ok(first === NONE || [...this.#cast.lives.values()].includes(first), first)
    if (!isSteady) return
    await this.#resolver.status()
    this.#t.equal(await this.#go(), this.#expected, 'after a question')
  }

  /** Waits until the daemon, asked anew, says what is so. */
  async #known(): Promise<void> {
    while ((await this.#go(this.#asking)) !== this.#expected) await pause(PACE)
  }

  /** The life that a connect comes to, or the reason why it comes to none. */
  async #go(resolver: Resolving = this.#resolver): Promise<string> {
    const socket = connect({ service: SERVICE, resolver, daemonPort: this.#port })
    try {
      for await (const text of socket) return String(text)
      return 'nothing'
    } catch (error) {
      const { reason, code } = error as { reason?: string; code?: string }
      return reason === 'ENOSERVICE' || reason === 'ENODAEMON' ? NONE : (reason ?? code!)
    }
  }

  #write(): void {
    const rules = this.#isDenied ? [{ deny: 'resolve', name: SERVICE }] : []
    writeFileSync(this.#policy, JSON.stringify({ rules }))
  }
}

function unlike(ends: ReadonlySet<string>, expected: readonly string[]): string[] {
  return [...ends].filter(end => !expected.includes(end))
}

t.test('nothing is missed, and nothing is gone to that is not there', async t => {
  const [script] = fc.sample(scripts, { numRuns: 1, seed: 6688 })
  const play = new Play(t, await freePort())
  for (const [does, deed] of script!) {
    t.comment(does)
    await deed(play)
    await play.rest()
  }
})
