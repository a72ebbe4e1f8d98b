import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { BlockList, Socket, connect as connectNet, createServer, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { MonikerError } from '../../lib/errors.ts'
import { Dial, type NamedSocket } from '../../lib/sockets/dialer.ts'
import { handleOf } from '../../lib/node/handle.ts'
import { connectCall } from '../../lib/options/connect.ts'
import type { Name } from '../../lib/name.ts'
import { freePort } from '../../lib/node/proc.ts'
import type { TransportName } from '../../lib/transports/transports.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import type { Resolution, ResolveOptions, SocketQuestion } from '../../lib/resolution.ts'
import { connect, type ConnectOptions } from '../../lib/sockets/socket.ts'
import { hasUnix } from '../../lib/node/abstract.ts'
import { firstPath, newPath, openBeside } from '../../lib/transports/unix.ts'
import { active } from '../fixtures/active.ts'
import { awake } from '../fixtures/awake.ts'
import { failed } from '../fixtures/failed.ts'
import { greeting } from '../fixtures/greeting.ts'
import { Held, site, type Place } from '../fixtures/held.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { withoutUnix } from '../fixtures/beside.ts'
import { daemon } from '../fixtures/daemon.ts'
import { going, kinds, overTCP, placeOf, transportOf } from '../fixtures/kinds.ts'
import type { Reachable } from '../../lib/wire/protocol.ts'
import type { Transport } from '../../lib/transports/transport.ts'
import { fake } from '../fixtures/fake.ts'
import { line } from '../fixtures/lines.ts'
import { named, nobody, portOf, stranger } from '../fixtures/services.ts'
import { noSwallow, swallow } from '../fixtures/swallow.ts'

// A question that is never answered here is no handle.
awake(t)

/** The events of a socket, in order. */
function history(socket: Socket): string[] {
  const events: string[] = []
  for (const event of ['resolve', 'connect', 'ready', 'error', 'close']) {
    socket.on(event, () => events.push(event))
  }
  return events
}

const OFFERED = { service: 'echo', timeout: 0 }

/** Each way in which a socket is not to stay where it is; `sent` is to go to `place`. */
function fatesBy(place: Place): Record<string, (socket: Socket, resolver: Held) => unknown> {
  return {
    refused: (_socket, resolver) => resolver.fail(new MonikerError('ENOSERVICE')),
    destroyed: socket => socket.destroy(),
    sent: (_socket, resolver) => resolver.answer(place),
    connected: socket => socket.connect(place.port, '127.0.0.1'),
  }
}

t.test('whatever comes first, nobody else gets a byte, and all is told in order', async t => {
  // Of two daemons, each with the service in the likely place or a stranger there.
  const [right, wrong, empty] = [await freePort(), await freePort(), await freePort()]
  const good = await site(t, 'good', firstPath('echo', right))
  const stranger = await site(t, 'stranger', firstPath('echo', wrong))
  const closed: Place = { ...good.place, port: await nobody(), path: newPath(), instance: 'closed' }
  const before: Place = { ...good.place, port: await nobody(), instance: 'before' }
  const guesses: Record<string, [known?: Place | undefined, port?: number]> = {
    none: [],
    good: [good.place],
    stranger: [stranger.place],
    closed: [closed],
    before: [before],
    likely: [undefined, right],
    mistaken: [undefined, wrong],
    unlikely: [undefined, empty],
  }
  // Its Unix socket has gone, or is not there yet; its port is.
  const half: Place = { ...good.place, path: firstPath('echo', empty)! }
  const answers = { good: good.place, half, closed, error: new MonikerError('ENOSERVICE') }
  const moments = ['never', 'at once', 'next turn', 'when connected', 'with the answer'] as const

  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(guesses)),
      fc.constantFrom(...(Object.keys(answers) as (keyof typeof answers)[])),
      fc.constantFrom('answer at once', 'answer first', 'connection first'),
      fc.constantFrom(...moments),
      fc.boolean(),
      async (guess, answer, order, destroyed, isUnix) => {
        const resolver = new Held(...guesses[guess]!)
        const transports = isUnix ? (['unix', 'tcp'] as const) : (['tcp'] as const)
        const socket = connect({ ...OFFERED, transports, resolver })
        const events = history(socket)
        const over = new Promise(resolve => socket.once('close', resolve))
        socket.write('hello')
        const destroyIf = (moment: string) => moment === destroyed && socket.destroy()

        destroyIf('at once')
        const likely = isUnix ? { before: good, likely: good, mistaken: stranger } : {}
        const site = { good, stranger, ...likely }[guess as 'good']
        const already = site?.seen.connections ?? 0
        if (order === 'answer at once') await new Promise(process.nextTick)
        else await new Promise(setImmediate)
        destroyIf('next turn')
        if (order === 'connection first' && !socket.destroyed && site) {
          while (site.seen.connections === already) await new Promise(setImmediate)
          destroyIf('when connected')
        }
        t.notOk(events.includes('connect'), 'nobody hears of it before the answer')
        t.equal(socket.connecting, !socket.destroyed)
        const place = answers[answer]
        if (place instanceof Error) resolver.fail(place)
        else resolver.answer(place)
        destroyIf('with the answer')

        const isGood = answer === 'good' || answer === 'half'
        if (isGood && !socket.destroyed) {
          const [echo] = (await once(socket, 'data')) as [Buffer]
          t.equal(String(echo), 'hello')
          t.equal(socket.remotePort, good.place.port)
          socket.destroy()
          t.strictSame(events, ['resolve', 'connect', 'ready'])
        }
        await over
        t.equal(events.at(-1), 'close')
        const failed = !isGood && !['at once', 'next turn', 'with the answer'].includes(destroyed)
        const isKilled = destroyed === 'when connected' && order === 'connection first' && site
        t.equal(events.includes('error'), failed && !isKilled)
        t.equal(stranger.seen.bytes, 0, 'a stranger never gets a byte')
      },
    ),
    { numRuns: 500 },
  )
})

t.test('what has failed already where the daemon still sees it has failed', async t => {
  const { place } = await site(t, 'gone')
  const gone = { ...place, port: await nobody(), path: newPath() }
  const resolver = new Held(gone)
  const socket = connect({ ...OFFERED, transports: ['tcp'], resolver })
  const events = history(socket)
  await failed(socket)
  t.strictSame(events, [])
  resolver.answer(gone)
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNREFUSED')
})

t.test('a stranger that has taken the port since is not talked to', async t => {
  const { port: daemonPort } = await daemon(t)
  const first = await named(t, { service: 'echo', host: '127.0.0.1', daemonPort })
  const transports = ['tcp'] as const
  const go = () => connect({ service: 'echo', daemonPort, transports })
  const call = async () => text(go().end('hello'))
  t.equal(await call(), 'hello', 'it is remembered now')
  const port = portOf(first)
  await once(first.close(), 'close')
  let bytes = 0
  const stranger: Server = createServer(socket => {
    socket.on('error', () => {}).on('data', chunk => (bytes += chunk.length))
    socket.write('give me your password')
  })
  t.teardown(() => stranger.close())
  await once(stranger.listen(port, '127.0.0.1'), 'listening')
  const lost = go()
  let heard = 0
  lost.on('data', () => heard++).write('hello')
  const [error] = (await once(lost, 'error')) as [MonikerError]
  t.match(error, { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.equal(heard, 0)

  await named(t, { service: 'echo', host: '127.0.0.1', daemonPort })
  t.equal(await call(), 'hello', 'and its own is found again')
  t.equal(bytes, 0)
})

if (hasUnix) {
  t.test('a server that was called by mistake hears an end, even if it speaks first', async t => {
    const { port: daemonPort } = await daemon(t)
    const all: Promise<unknown>[] = []
    const greet = (socket: Socket) => {
      all.push(once(socket.removeAllListeners('error'), 'close'))
      socket.end('hello')
    }
    await named(t, { service: 'tell@1.0.0', daemonPort }, greet)
    await named(t, { service: 'tell@2.0.0', daemonPort }, socket => void socket.end('the other'))
    for (let call = 0; call < 20; call++) {
      const resolver = new Resolver()
      t.equal(await text(connect({ service: 'tell', daemonPort, resolver })), 'the other')
    }
    t.equal(all.length, 20)
    await t.resolves(Promise.all(all), 'none of its connections was reset')
  })

  t.test(
    'it does so if there is no answer, or the socket is destroyed or goes elsewhere',
    async t => {
      const port = await freePort()
      const server = createServer(socket => void socket.resume().end('hello'))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const beside = await openBeside(server, firstPath('echo', port))
      const { place } = await site(t, 'elsewhere')
      t.teardown(() => {
        beside?.close()
        server.close()
      })
      for (const [fate, meet] of Object.entries(fatesBy(place))) {
        for (const isThere of [false, true]) {
          const resolver = new Held(undefined, port)
          const socket = connect({ ...OFFERED, resolver }).on('error', () => {})
          t.teardown(() => socket.destroy())
          const called = once(server, 'connection') as Promise<[Socket]>
          await (isThere ? called : new Promise(process.nextTick))
          // The words of the server are there to be read.
          if (isThere) await new Promise(setImmediate)
          meet(socket, resolver)
          const [peer] = await called
          await new Promise(resolve => peer.once('close', resolve).on('error', () => {}))
          t.equal(peer.errored, null, `${fate} ${isThere ? 'once he is reached' : 'at once'}`)
        }
      }
    },
  )

  t.test('a server that is not where it is likely to be is reached by its port', async t => {
    const port = await freePort()
    const { place } = await site(t, 'late')
    const resolver = new Held(undefined, port)
    const socket = connect({ ...OFFERED, resolver })
    t.teardown(() => socket.destroy())
    socket.write('hello')
    // A connect to no Unix socket has failed in the turn after.
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    resolver.answer({ ...place, path: firstPath('echo', port)! })
    const [echo] = (await once(socket, 'data')) as [Buffer]
    t.equal(String(echo), 'hello')
    t.equal(socket.remotePort, place.port)
  })

  t.test('a server that has come back is where it was', async t => {
    const { port: daemonPort } = await daemon(t)
    const accepted: Socket[] = []
    const serve = (socket: Socket) => void accepted.push(socket.end('hello'))
    for (let life = 1; life <= 2; life++) {
      const server = await named(t, { service: 'tell', daemonPort }, serve)
      const socket = connect({ service: 'tell', daemonPort })
      t.equal(await text(socket), 'hello')
      t.equal(accepted.length, life, 'it was called once')
      t.equal(accepted.at(-1)!.localPort, portOf(server))
      await once(server.close(), 'close')
    }
  })
}

t.test('a connection that Node has not reported yet is closed politely too', async t => {
  const greeter = await greeting(t)
  const { place } = await site(t, 'elsewhere')
  for (const [fate, meet] of Object.entries(fatesBy(place))) {
    const resolver = new Held({ ...place, port: greeter.port, instance: 'greeter' })
    const socket = connect({ ...OFFERED, transports: ['tcp'], resolver }).on('error', () => {})
    t.teardown(() => socket.destroy())
    // The connection leaves in these turns, and Node looks for nothing new between them.
    for (let tick = 0; tick < 3; tick++) await new Promise(process.nextTick)
    const end = greeter.nextEnd()
    greeter.waitForGreeting()
    meet(socket, resolver)
    t.equal(await end, 'end', fate)
  }
})

t.test(
  'a program with nothing else to do hears out the server that was called by mistake',
  async t => {
    const server = createServer({ allowHalfOpen: true }, peer => {
      // It takes its time.
      const greet = () => peer.write('hello', () => setTimeout(() => peer.end('you'), 50))
      peer.resume().once('end', () => setTimeout(greet, 200))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => server.close())
    const place = { transport: 'tcp', address: '127.0.0.1', port: portOf(server), version: '1.0.0' }
    const index = new URL('../../index.ts', import.meta.url).href
    const source = `
    import { connect } from ${JSON.stringify(index)}
    const place = ${JSON.stringify({ ...place, instance: 'by mistake' })}
    const known = { name: {}, host: '', endpoints: [place], ttl: 0 }
    let fail
    const answer = new Promise((_resolve, reject) => (fail = reject))
    const resolver = { resolve() {}, ask: () => ({ known, answer, leave() {} }) }
    const socket = connect({ service: 'echo', transports: ['tcp'], resolver })
    socket.on('error', () => {}).once('connectionAttempt', () => setImmediate(fail, new Error('denied')))`
    const called = once(server, 'connection') as Promise<[Socket]>
    const args = [...process.execArgv, '--input-type=module', '-e', source]
    const child = spawn(process.execPath, args, { stdio: 'inherit' })
    const ended = once(child, 'close')
    const [peer] = await called
    await new Promise(resolve => peer.once('close', resolve).on('error', () => {}))
    t.equal(peer.errored, null)
    t.strictSame(await ended, [0, null])
  },
)

t.test('nobody is knocked at before the question has left', async t => {
  const port = await freePort()
  const { place, seen } = await site(t, 'good', firstPath('echo', port))
  const guesses = [new Held(place), ...(hasUnix ? [new Held(undefined, port)] : [])]
  for (const resolver of guesses) {
    for (const isAnswered of [false, true]) {
      seen.connections = 0
      let leave!: () => void
      resolver.sent = new Promise(resolve => (leave = resolve))
      const socket = connect({ ...OFFERED, resolver })
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
      t.equal(seen.connections, 0)
      if (isAnswered) resolver.answer(place)
      leave()
      while (seen.connections === 0) await new Promise(setImmediate)
      resolver.answer(place)
      t.equal(await text(socket.end('hello')), 'hello')
      t.equal(seen.connections, 1)
    }
  }
})

t.test('a host that has another address now is gone to there', { skip: noSwallow }, async t => {
  const { place } = await site(t, 'moved')
  const before = { ...place, address: '127.0.0.2' }
  await swallow(t, before.address, before.port)
  const resolver = new Held(before)
  const socket = connect({ ...OFFERED, host: 'far.test', resolver })
  const tried: string[] = []
  socket.on('connectionAttempt', (address: string) => tried.push(address))
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
  resolver.answer(place)
  t.equal(await text(socket.end('hello')), 'hello')
  t.strictSame(tried, ['127.0.0.2', '127.0.0.1'])
})

t.test('of instances that are remembered each has its turn', async t => {
  const { port: daemonPort } = await daemon(t)
  const options = { service: 'tell', host: '127.0.0.1', daemonPort, shared: true }
  for (const who of ['one', 'two']) await named(t, options, socket => void socket.end(who))
  const call = () => text(connect({ service: 'tell', daemonPort }))
  const told = [await call(), await call(), await call(), await call()]
  t.strictSame(told.toSorted(), ['one', 'one', 'two', 'two'])
  const at = await Promise.all(Array.from({ length: 8 }, call))
  t.equal(at.filter(who => who === 'one').length, 4)
})

t.test('a service that is there again is gone to once, also where it was before', async t => {
  const { port: daemonPort } = await daemon(t)
  let connections = 0
  for (let life = 1; life <= 3; life++) {
    const serve = (socket: Socket) => void socket.end(String(++connections))
    const server = await named(t, { service: 'tell', host: '127.0.0.1', daemonPort }, serve)
    t.equal(await text(connect({ service: 'tell', daemonPort })), String(life))
    await once(server.close(), 'close')
    t.equal(connections, life)
  }
})

t.test('what TLS has wrapped waits for the answer, and stays on TCP', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'safe', host: '127.0.0.1', daemonPort }, socket => {
    new tls.TLSSocket(socket, { isServer: true, key, cert }).end('secret')
  })
  const call = () => {
    const socket = connect({ service: 'safe', daemonPort })
    return text(tls.connect({ socket, rejectUnauthorized: false }))
  }
  t.equal(await call(), 'secret')
  t.equal(await call(), 'secret')
  t.ok(server.listening)
})

t.test('what has been wrapped on its way cannot be turned round', async t => {
  const port = await freePort()
  const [good, other] = [await site(t, 'good', firstPath('echo', port)), await site(t, 'other')]
  const guesses: [held: Held, transports: TransportName[], message: RegExp][] = [
    [new Held(good.place), ['tcp'], /has moved away from port/],
    [new Held(good.place), ['unix', 'tcp'], /has moved away from port/],
    [new Held(undefined, port), ['unix', 'tcp'], /has moved away from where it is likely to be/],
  ]
  for (const [resolver, transports, message] of hasUnix ? guesses : guesses.slice(0, 1)) {
    const already = good.seen.connections
    const socket = connect({ ...OFFERED, resolver, transports })
    const events = history(socket)
    while (good.seen.connections === already) await new Promise(setImmediate)
    const secure = tls.connect({ socket })
    secure.on('error', () => {})
    resolver.answer(other.place)
    const [error] = (await once(socket, 'error')) as [MonikerError]
    t.match(error, { code: 'ECONNREFUSED', reason: 'EMOVED', message })
    while (!events.includes('close')) await new Promise(setImmediate)
    t.strictSame(events, ['resolve', 'error', 'close'])
  }
  t.equal(good.seen.bytes + other.seen.bytes, 0)
})

if (hasUnix) {
  t.test('nor where its Unix socket has gone', async t => {
    const { place } = await site(t, 'good')
    for (const isAnswered of [false, true]) {
      const resolver = new Held({ ...place, path: newPath() })
      const socket = connect({ ...OFFERED, resolver })
      const events = history(socket)
      await new Promise(process.nextTick)
      const secure = tls.connect({ socket })
      secure.on('error', () => {})
      if (isAnswered) resolver.answer({ ...place, path: newPath() })
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
      if (!isAnswered) resolver.answer({ ...place, path: newPath() })
      while (!events.includes('close')) await new Promise(setImmediate)
      t.strictSame(events, ['resolve', 'error', 'close'])
    }
  })
}

t.test('an error of somebody else is not taken for that of the connection', async t => {
  const elsewhere = connect(await nobody(), '127.0.0.1')
  const [error] = (await once(elsewhere, 'error')) as [NodeJS.ErrnoException]
  const { place } = await site(t, 'good')
  for (const known of [undefined, place]) {
    const socket = connect({ ...OFFERED, resolver: new Held(known) })
    await new Promise(setImmediate)
    const closed = once(socket, 'error')
    socket.destroy(error)
    t.strictSame(await closed, [error])
    t.ok(socket.destroyed)
  }
  const resolver = { resolve: () => Promise.reject(error) }
  const socket = connect({ ...OFFERED, resolver })
  t.strictSame(await once(socket, 'error'), [error], 'nor is one of a resolver')
})

t.test('a socket that is sent to a name as it is connected hears of that one', async t => {
  const { place } = await site(t, 'good')
  const socket = connect(place.port, '127.0.0.1')
  const resolver = new Held(place)
  socket.once('connect', () => {
    socket.destroy()
    socket.connect({ ...OFFERED, resolver, transports: ['tcp'] })
    process.nextTick(() => process.nextTick(() => resolver.answer(place)))
  })
  await once(socket, 'connect')
  await once(socket, 'connect')
  socket.write('hello')
  t.equal(String(await once(socket, 'data')), 'hello')
  socket.destroy()
})

t.test('a program that takes the handle of a socket keeps it', async t => {
  const { place } = await site(t, 'good')
  for (const known of [undefined, place]) {
    const resolver = new Held(known)
    const socket = connect({ ...OFFERED, resolver, transports: ['tcp'] })
    const events = history(socket)
    await new Promise(setImmediate)
    const handle = handleOf(socket)!
    t.teardown(() => handle.close())
    Object.assign(socket, { _handle: null })
    resolver.answer(place)
    await new Promise(setImmediate)
    t.strictSame(events, [])
    await new Promise(resolve => socket.once('close', resolve).destroy())
  }
})

t.test('where a connection may not go at once, it goes when there is an answer', async t => {
  const { place, seen } = await site(t, 'good')
  const choosy = [
    { blockList: new BlockList() },
    { select: (all: Place[]) => all[0] },
    { wait: 1_000 },
  ]
  for (const options of choosy) {
    const resolver = new Held(place)
    const socket = connect({ ...OFFERED, ...options, resolver } as ConnectOptions)
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    t.equal(seen.connections, 0)
    resolver.answer(place)
    t.equal(await text(socket.end('hello')), 'hello')
    seen.connections = 0
  }
})

t.test('a listener of the look-up may end it', async t => {
  const { place } = await site(t, 'good')
  const resolver = new Held()
  const socket = connect({ ...OFFERED, resolver })
  const events = history(socket)
  socket.on('lookup', () => socket.destroy())
  resolver.answer(place)
  await once(socket, 'close')
  t.strictSame(events, ['close'])
  t.equal(socket.moniker, undefined)
})

t.test('a resolver of the caller is asked, and told when nobody waits', async t => {
  const { place } = await site(t, 'good')
  const asked: ResolveOptions[] = []
  const resolver = {
    resolve: async (name: Name, options: ResolveOptions): Promise<Resolution> => {
      asked.push(options)
      return { name, host: '', endpoints: [place], ttl: 0 }
    },
  }
  const socket = connect({ ...OFFERED, resolver })
  t.equal(await text(socket.end('hello')), 'hello')
  t.match(asked, [{ host: '', transports: hasUnix ? ['unix', 'tcp'] : ['tcp'] }])
  class Own extends Resolver {
    override resolve = resolver.resolve
  }
  t.equal(await text(connect({ ...OFFERED, resolver: new Own() }).end('own')), 'own')
  t.equal(asked.splice(1).length, 1, 'that of a subclass too')
  const given = connect({ ...OFFERED, resolver }).destroy()
  await once(given, 'close')
  t.ok(asked[1]!.signal!.aborted)

  const lookup = () => {}
  const far = connect({ ...OFFERED, resolver, host: 'far.example', lookup })
  t.match(asked[2], { host: 'far.example', lookup: Function, transports: ['tcp'] })
  await once(far, 'connect')
  far.destroy()
  const bad = { ...OFFERED, resolver, lookup: 7 as never }
  t.throws(() => connect(bad), { code: 'ERR_INVALID_ARG_TYPE' })
  const local = { ...OFFERED, resolver, localAddress: 'here' }
  t.throws(() => connect(local), { code: 'ERR_INVALID_IP_ADDRESS' })
  t.ok(asked[3]!.signal!.aborted, 'and nobody waits for an answer')
})

t.test('what is on its way to the wrong place is turned round', async t => {
  const [good, other] = [await site(t, 'good'), await site(t, 'other')]
  const resolver = new Held(other.place)
  const socket = connect({ ...OFFERED, resolver, transports: ['tcp'] })
  // After the socket has begun to connect, and before it can have done so.
  process.nextTick(() => process.nextTick(() => resolver.answer(good.place)))
  t.equal(await text(socket.end('hello')), 'hello')
  t.equal(other.seen.bytes, 0)

  const again = new Held(other.place)
  const bare = new Socket().on('error', () => {}) as NamedSocket
  const call = connectCall([{ ...OFFERED, resolver: again, transports: ['tcp'] }])!
  const attempt = new Dial(bare, call)
  attempt.start()
  t.notOk(attempt.isUnderWay)
  await new Promise(process.nextTick)
  t.ok(attempt.isUnderWay)
  attempt.abandon()
  t.notOk(attempt.isUnderWay)
  await once(bare.destroy(), 'close')
})

t.test('a place is looked up as of its family, by each transport', async t => {
  const { place } = await site(t, 'good')
  for (const transports of [['tcp'], ['unix', 'tcp']] as const) {
    const resolver = new Held({ ...place, address: '::1', port: await nobody() })
    const socket = connect({ ...OFFERED, resolver, transports }).on('error', () => {})
    const looked = once(socket, 'lookup')
    t.match(await looked, [null, '::1', 6, 'localhost'])
    await once(socket.destroy(), 'close')
  }
})

t.test('a handle that is there already is kept', async t => {
  const { place } = await site(t, 'good')
  const resolver = new Held()
  const socket = connect(await nobody(), '127.0.0.1')
  const handle = Reflect.get(socket, '_handle') as object
  socket.connect({ ...OFFERED, resolver })
  resolver.answer(place)
  t.equal(Reflect.get(socket, '_handle'), handle)
  socket.on('error', () => {}).destroy()
  await once(socket, 'close')
})

t.test('a listener may destroy the socket, or send it elsewhere', async t => {
  const { place } = await site(t, 'good')
  for (const event of ['lookup', 'resolve'] as const) {
    for (const known of [undefined, place]) {
      const resolver = new Held(known)
      const socket = connect({ ...OFFERED, resolver })
      const events = history(socket)
      socket.on(event as 'resolve', () => socket.destroy())
      resolver.answer(place)
      await once(socket, 'close')
      t.notOk(events.includes('connect'), event)
      t.equal(resolver.left, 1)
    }
  }
})

t.test(
  'on this host a socket goes by the faster road, and nobody can tell',
  { skip: withoutUnix },
  async t => {
    const { seen, place, server } = await site(t, 'good')
    const go = (options: object = {}) => {
      const resolver = new Held()
      const socket = connect({ ...OFFERED, resolver, ...options })
      resolver.answer(place)
      return socket
    }
    const isUnix = async (socket: Socket) => {
      await once(socket, 'connect')
      const { _handle: handle } = socket as unknown as { _handle: object }
      t.match(socket, { remoteAddress: '127.0.0.1', remotePort: place.port, remoteFamily: 'IPv4' })
      t.match(socket.address(), { address: '127.0.0.1', family: 'IPv4', port: Number })
      socket.setNoDelay(true).setKeepAlive(true).setTimeout(0)
      socket.destroy()
      return handle.constructor.name === 'Pipe'
    }
    t.ok(await isUnix(go()))
    t.notOk(await isUnix(go({ transports: ['tcp'] })))
    t.notOk(await isUnix(go({ host: '127.0.0.1' })))
    t.notOk(await isUnix(go({ localAddress: '127.0.0.1' })))
    t.ok(await isUnix(go({ family: 0 })))
    const failed = new Held()
    const lost = connect({ ...OFFERED, resolver: failed, transports: ['unix'] })
    failed.answer({ ...place, path: newPath() })
    t.match(await once(lost, 'error'), [{ code: 'ECONNREFUSED', syscall: 'connect' }])
    t.equal(seen.connections, 5)

    const silent = go().unref()
    await once(silent, 'connect')
    const { _handle: handle } = silent as unknown as { _handle: { hasRef: () => boolean } }
    t.notOk(handle.hasRef(), 'it stays unref’d')
    silent.resetAndDestroy()
    await once(silent, 'close')
    const early = go()
    early.resetAndDestroy()
    await once(early, 'close')
    t.ok(server.listening)
  },
)

t.test('where servers tell how busy they are, nobody goes by what was true before', async t => {
  const { port: daemonPort } = await daemon(t)
  const web = { service: 'web', daemonPort }
  const all = { ...web, load: true, shared: true }
  await named(t, all, socket => socket.end('one'))
  t.equal(await text(connect(web)), 'one')
  await named(t, all, socket => socket.end('another'))
  const heard = new Set<string>()
  for (let times = 0; times < 4; times++) heard.add(await text(connect(web)))
  t.same(heard, new Set(['one', 'another']))
})

t.test('a socket that waits keeps the process alive as long as it is to', async t => {
  for (const wait of [1_000, 0]) {
    const before = active('Timeout')
    const socket = connect({ ...OFFERED, wait, resolver: new Held() })
    const more = () => active('Timeout') - before
    const held = wait ? 1 : 0
    t.equal(more(), held)
    t.equal(socket.unref(), socket)
    t.equal(more(), 0)
    t.equal(socket.ref(), socket)
    t.equal(more(), held)
    await new Promise(resolve => socket.once('close', resolve).destroy())
    t.equal(more(), 0)
  }
})

t.test('what a transport opens is read and written to', async t => {
  for (const kind of Object.values(kinds)) {
    const place = await placeOf(t, kind, socket => void socket.pipe(socket))
    const { socket, closed, answer } = going(t, place, kind)
    const events = history(socket)
    socket.end('hello')
    answer()
    t.equal(await text(socket), 'hello')
    await closed
    t.strictSame(events, ['resolve', 'connect', 'ready', 'close'])
  }
})

t.test('what is opened for a socket that is not wanted any more is given up', async t => {
  const { serve } = kinds['a socket']!
  const place = await placeOf(t, { serve, open: overTCP }, () => {})
  for (const isHeard of [true, false]) {
    let signal!: AbortSignal
    let give!: (made: Duplex) => void
    const open = (_to: Reachable, given: AbortSignal) => {
      signal = given
      return new Promise<Duplex>((resolve, reject) => {
        give = resolve
        if (isHeard) given.addEventListener('abort', () => reject(given.reason as Error))
      })
    }
    const { socket, closed, answer } = going(t, place, { open })
    answer()
    await once(socket, 'resolve')
    t.notOk(signal.aborted)
    socket.destroy()
    await closed
    t.ok(signal.aborted)
    const late = await overTCP(place, AbortSignal.timeout(5_000))
    give(late)
    if (!isHeard) await once(late, 'close')
    else late.destroy()
  }
})

t.test('where one transport fails the next that leads there is taken', async t => {
  const place = await placeOf(t, kinds['a socket']!, socket => void socket.end('by port'))
  const open = () => Promise.reject(new Error('not today'))
  const last = going(t, place, { open })
  last.answer()
  t.match(await once(last.socket, 'error'), [{ message: 'not today' }])
  const transports = [transportOf({ open }), 'tcp']
  const other = going(t, place, { open }, { transports })
  other.answer()
  t.equal(await text(other.socket), 'by port')
})

t.test('a transport that does not allow a call, or leads nowhere, is not taken', async t => {
  const place = await placeOf(t, kinds['a socket']!, socket => void socket.end('by port'))
  const open = () => Promise.reject(new Error('not today'))
  const closed: Transport = { ...transportOf({ open }), allows: () => false }
  const skipped = going(t, place, { open }, { transports: [closed, 'tcp'] })
  skipped.answer()
  t.equal(await text(skipped.socket), 'by port')

  const elsewhere: Transport = { ...transportOf({ open }), name: 'sctp', key: () => undefined }
  const nowhere = going(t, place, { open }, { transports: [elsewhere] })
  nowhere.answer()
  const [error] = (await once(nowhere.socket, 'error')) as [NodeJS.ErrnoException]
  t.match(error, { code: 'EPROTO', reason: 'EPROTOCOL', message: /no endpoint that a transport/ })
})

t.test('what TLS has wrapped meanwhile cannot be given another connection', async t => {
  const place = await placeOf(t, kinds['a socket']!, () => {})
  const { promise, resolve } = promised<Duplex>()
  const { socket, closed, answer } = going(t, place, { open: () => promise })
  answer()
  await once(socket, 'resolve')
  tls.connect({ socket }).on('error', () => {})
  const made = await overTCP(place, AbortSignal.timeout(5_000))
  resolve(made)
  const [error] = (await once(socket, 'error')) as [MonikerError]
  t.match(error, { reason: 'EMOVED' })
  await closed
  t.ok(made.destroyed)

  const before = going(t, place, { open: () => promise })
  tls.connect({ socket: before.socket }).on('error', () => {})
  before.answer()
  t.match(await once(before.socket, 'error'), [{ reason: 'EPROTOCOL' }])
})

t.test('what fails once nobody wants it is not told', async t => {
  const place = await placeOf(t, kinds['a socket']!, () => {})
  const { promise, reject } = promised<Duplex>()
  const { socket, closed, answer } = going(t, place, { open: () => promise })
  const events = history(socket)
  answer()
  await once(socket, 'resolve')
  socket.destroy()
  await closed
  reject(new Error('too late'))
  await new Promise(setImmediate)
  t.strictSame(events, ['resolve', 'close'])
})

/** A promise, and its two ends. */
function promised<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((ful, rej) => {
    resolve = ful
    reject = rej
  })
  return { promise, resolve, reject }
}

// The daemon of another host, which is asked by TCP; a datagram gives a hint.

/** A service of another host, and its daemon, which answers by TCP when `answer` is called. */
async function elsewhere(t: Test, hintPort?: number) {
  const connections: Socket[] = []
  const bytes: string[] = []
  let came!: () => void
  const connected = new Promise<void>(resolve => (came = resolve))
  const serve = (socket: Socket) => {
    connections.push(socket.on('data', chunk => bytes.push(String(chunk))))
    socket.write('hello')
    came()
  }
  const port = await stranger(t, serve, '127.0.0.2')
  const endpoint = { transport: 'tcp', port, version: '1.0.0', instance: 'a' }
  let answer!: () => void
  const asked = new Promise<void>(resolve => (answer = resolve))
  const place = await fake(t, {
    address: '127.0.0.2',
    tcp: ({ id }, socket) =>
      void asked.then(() => socket.write(line({ id, endpoints: [endpoint], ttl: 0 }))),
    udp: ({ id }, reply) => {
      const endpoints = [{ ...endpoint, port: hintPort ?? port }]
      if (hintPort !== 0) return reply(line({ id, endpoints, ttl: 0 }))
      reply(line({ id, error: { code: 'ENOSERVICE', message: 'no' } }))
    },
  })
  const options = { service: 'far', host: '127.0.0.2', daemonPort: place.port }
  return { place, options, connections, bytes, connected, answer }
}

t.test('a hint leads there before the answer, and nobody hears of it', async t => {
  const { options, connected, connections, bytes, answer } = await elsewhere(t)
  const socket = connect(options)
  const events = history(socket)
  socket.write('mine')
  await connected
  t.strictSame(events, [])
  t.strictSame(bytes, [])
  answer()
  t.equal(String((await once(socket, 'data'))[0]), 'hello')
  t.strictSame(events, ['resolve', 'connect', 'ready'])
  t.equal(connections.length, 1)
  while (bytes.length === 0) await new Promise(setImmediate)
  t.strictSame(bytes, ['mine'])
  socket.destroy()
})

t.test('a hint that was wrong, or none, costs a connection and no byte', async t => {
  let met = 0
  const heard: string[] = []
  const wrong = await stranger(
    t,
    socket => void (met++, socket.on('data', chunk => heard.push(String(chunk)))),
    '127.0.0.2',
  )
  for (const hintPort of [wrong, await nobody(), 0]) {
    const { options, place, bytes, answer } = await elsewhere(t, hintPort)
    const socket = connect(options)
    socket.write('mine')
    while (place.datagrams.length === 0 || (hintPort === wrong && met === 0))
      await new Promise(setImmediate)
    answer()
    t.equal(String((await once(socket, 'data'))[0]), 'hello')
    while (bytes.length === 0) await new Promise(setImmediate)
    t.strictSame(bytes, ['mine'])
    socket.destroy()
  }
  t.strictSame(heard, [])
})

t.test('a call that only a fresh list will do takes no hint', async t => {
  const { options, place, answer, connections } = await elsewhere(t)
  const socket = connect({ ...options, select: ([first]) => first! })
  while (place.streamed.length === 0) await new Promise(setImmediate)
  t.equal(connections.length, 0)
  answer()
  t.equal(String((await once(socket, 'data'))[0]), 'hello')
  t.strictSame(place.datagrams, [])
  socket.destroy()
})

t.test('a hint that comes when the socket is gone leads nowhere', async t => {
  const dials: SocketQuestion[] = []
  const found = { name: { namespace: '', service: 'far', version: '' }, host: 'far', ttl: 0 }
  let met = 0
  const port = await stranger(t, () => met++, '127.0.0.2')
  const endpoint = { transport: 'tcp' as const, address: '127.0.0.2', port }
  const endpoints = [{ ...endpoint, version: '1.0.0', instance: 'a' }]
  const resolver = {
    resolve: () => Promise.reject(new Error('no')),
    ask(_name: Name, asked: SocketQuestion = {}) {
      dials.push(asked)
      return { known: undefined, port: 1, answer: new Promise<never>(() => {}), leave: () => {} }
    },
  }
  const socket = connect({ service: 'far', host: 'far', resolver })
  const { onHint } = dials[0]!
  onHint!({ ...found, endpoints })
  socket.destroy()
  onHint!({ ...found, endpoints })
  await once(socket, 'close')
  // Connections are taken in their order.
  await once(connectNet(port, '127.0.0.2'), 'connect')
  while (met === 0) await new Promise(setImmediate)
  t.equal(met, 1)
})
