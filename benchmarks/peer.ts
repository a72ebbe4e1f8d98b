// The other process of a benchmark: peer ROLE …
import dgram from 'node:dgram'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import http from 'node:http'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createServer, createSocket, listen } from '../index.ts'
import { Daemon } from '../lib/daemon/daemon.ts'
import { Besieger, attacks, type AttackName } from './besieger.ts'
import { call, type Calls } from './calls.ts'
import { Flock } from './comeback.ts'
import { Crowd, type Deed } from './crowd.ts'
import { Honest } from './honest.ts'
import { seconds } from './measure.ts'
import type { Memory } from './populace.ts'
import { block, byName, byNumber, pathBeside, touch } from './traffic.ts'

const [role, ...args] = process.argv.slice(2)
const LOCAL = '127.0.0.1'
const designated = Number(process.env.MONIKER_PORT)

/** Sends back what it gets. */
function echo(socket: Socket): void {
  socket
    .setNoDelay(true)
    .on('error', () => {})
    .pipe(socket)
}

/** Compares every byte with the one that should come, and says at the end how many there were. */
function sink(socket: Socket): void {
  let size = 0
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length;) {
      const from = (size + at) % block.length
      const length = Math.min(chunk.length - at, block.length - from)
      if (block.compare(chunk, at, at + length, from, from + length) !== 0) {
        return socket.destroy(new Error('damaged'))
      }
      at += length
    }
    size += chunk.length
  })
  socket.on('end', () => socket.end(String(size)))
}

/**
 * The same handler, to be had at a host by number and by name, of which each of the daemons knows; says
 * the number.
 */
async function serve(
  handler: (socket: Socket) => void,
  ports = String(designated),
  host = LOCAL,
): Promise<number> {
  const options = { allowHalfOpen: true }
  const named = ports.split(',').map(daemonPort =>
    createServer(options, handler).listen({
      service: 'bench',
      host,
      daemonPort: Number(daemonPort),
    }),
  )
  const plain = net.createServer(options, handler).listen(0, host)
  await Promise.all([...named, plain].map(server => once(server, 'listening')))
  const port = portOf(plain)
  await listenBeside(port, net.createServer(options, handler))
  return port
}

/** Listens at the Unix socket beside a port, which goes with this process. */
async function listenBeside(port: number, server: Server): Promise<void> {
  const path = pathBeside(port)
  const remove = () => rmSync(path, { force: true })
  remove()
  process.once('exit', remove).once('SIGTERM', () => process.exit())
  await once(server.listen(path), 'listening')
}

/** The ports of the services of a host, by number. */
export interface Host {
  echo: number
  web: number
  datagrams: number
}

/** All that is called by name, and by number: of what sends bytes back each of the daemons knows, of the rest the first. */
async function host(ports: string): Promise<Host> {
  const [first] = ports.split(',')
  const port = await serve(echo, ports)
  return { echo: port, web: await web(Number(first)), datagrams: await datagrams(Number(first)) }
}

/** The service `web`, and `ends`, which tells a peer the ports of its connection. */
async function web(daemonPort: number): Promise<number> {
  const answer: http.RequestListener = ({ url }, response) => void response.end(url)
  const ends = createServer(socket => {
    socket.on('error', () => {}).end(`${socket.remotePort} ${socket.localPort}`)
  })
  const plain = http.createServer(answer).listen(0, LOCAL)
  const named = listen(http.createServer(answer), { service: 'web', host: LOCAL, daemonPort })
  ends.listen({ service: 'ends', host: LOCAL, daemonPort })
  await Promise.all([plain, named, ends].map(server => once(server, 'listening')))
  return portOf(plain)
}

/** The service `datagrams`, which sends each back. */
async function datagrams(daemonPort: number): Promise<number> {
  const plain = dgram.createSocket('udp4').bind(0, LOCAL)
  const named = createSocket('udp4').bind({ service: 'datagrams', address: LOCAL, daemonPort })
  for (const socket of [plain, named]) {
    socket.on('message', (message, { port, address }) => socket.send(message, port, address))
  }
  await Promise.all([plain, named].map(socket => once(socket, 'listening')))
  return plain.address().port
}

/** A daemon at a host; says its port. */
async function daemon(host = '127.0.0.1'): Promise<number> {
  const daemon = new Daemon({ port: 0, hosts: [host], maxNames: 10_000 })
  await daemon.start()
  return daemon.port
}

/** Several; says their ports. */
async function daemons(count = '1', host?: string): Promise<number[]> {
  return Promise.all(Array.from({ length: Number(count) }, () => daemon(host)))
}

/** A daemon that is asked of its state; says its port, which is any free one or that given, and how many ms it took to start. */
async function state(port = '0'): Promise<{ port: number; ms: number }> {
  const daemon = new Daemon({ port: Number(port), hosts: ['127.0.0.1'], maxNames: 10_000 })
  const started = await seconds(() => daemon.start())
  const tell: Record<string, () => Promise<unknown>> = {
    memory: async () => memory(),
    stop: () => seconds(() => daemon.stop()),
    empty: async () => {
      while (daemon.status().names > 0) await pause(1)
    },
  }
  process.on('message', (question: string) => {
    void tell[question]!().then(answer => process.send!(answer ?? null))
  })
  return { port: daemon.port, ms: started * 1000 }
}

function memory(): Memory {
  const { gc } = globalThis as { gc?: () => void }
  // Memory that only a finalizer lets go of is there until the second time.
  gc?.()
  gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  return { heap: heapUsed, resident: rss }
}

/** Connections that do what they are told to. */
async function crowd(): Promise<string> {
  const crowd = new Crowd(designated)
  process.on('message', (deed: Deed) => void crowd.do(deed).then(taken => process.send!(taken)))
  return 'ready'
}

/** Programs that hold names, and say when all are back. */
async function flock(count: string, first: string): Promise<string> {
  // Registering keeps no process alive.
  process.on('message', () => void flock.back().then(() => process.send!('back')))
  const flock = await Flock.settle(designated, Number(count), Number(first))
  return 'ready'
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/** Says how long the first connect of a process takes until a byte is back, in µs: by name, or by the number given. */
async function first(port: string | undefined): Promise<number> {
  const open = port ? byNumber(Number(port)) : byName({ port: designated })
  return (await touch(open)).answered * 1000
}

/** Makes calls to a host when it is told to, and says how long each took. */
async function caller(ports: string, host: string): Promise<string> {
  const callee = { ports: ports.split(',').map(Number), host }
  process.on('message', (calls: Calls) => {
    void call(calls, callee).then(taken => process.send!(taken))
  })
  return 'ready'
}

/** Asks for what honest programs ask for when it is told to, and says how long it took. */
async function honest(): Promise<string> {
  const honest = await Honest.settle(designated)
  process.on('message', (ms: number) => {
    void (ms > 0 ? honest.work(ms) : honest.recover()).then(found => process.send!(found))
  })
  return 'ready'
}

/**
 * Attacks the daemon at a host, as a user if there is one: prepares that before it is ready, begins when it is told to,
 * and says what it has done when it is told so again.
 */
async function besieger(
  attack: AttackName,
  host: string,
  scale: string,
  uid?: string,
): Promise<string> {
  if (uid) become(Number(uid))
  const besieger = new Besieger(designated, host, Number(scale))
  const begin = await attacks[attack](besieger)
  process.once('message', () => {
    void begin()
    process.on('message', () => process.send!(besieger.tally)).send!('begun')
  })
  return 'ready'
}

/** Is another user from now on. */
function become(uid: number): void {
  process.setgroups!([])
  process.setgid!(uid)
  process.setuid!(uid)
}

const roles: Record<string, (...args: string[]) => Promise<unknown>> = {
  daemon,
  daemons,
  echo: (ports, host) => serve(echo, ports, host),
  sink: (ports, host) => serve(sink, ports, host),
  host,
  first,
  caller,
  state,
  crowd,
  flock,
  honest,
  besieger: (attack, ...rest) =>
    besieger(attack as AttackName, ...(rest as [host: string, scale: string, uid?: string])),
  seaport: async () => (await import('./seaport.ts')).hub(),
  mdns: async () => (await import('./mdns.ts')).publisher(),
}

process.once('disconnect', () => process.exit())
process.send!(await roles[role!]!(...args))
