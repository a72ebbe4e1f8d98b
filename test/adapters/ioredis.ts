import { execFileSync } from 'node:child_process'
import { Redis } from 'ioredis'
import { once } from 'node:events'
import tls from 'node:tls'
import { test } from 'tap'
import { connector } from '../../lib/adapters/ioredis.ts'
import { createServer, listen } from '../../lib/sockets/server.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { home } from '../fixtures/home.ts'
import { run } from '../fixtures/run.ts'

function isInstalled(): boolean {
  try {
    return execFileSync('redis-server', ['--version']).length > 0
  } catch {
    return false
  }
}

const skip = !isInstalled() && 'Redis is not installed'

test('ioredis talks to Redis over a name', { skip }, async t => {
  const command = ['redis-server', '--port', '{port}', '--bind', '127.0.0.1', '--save', '']
  await run(t, 'cache@7.0.0', command, await home(t))

  const redis = new Redis({ Connector: connector({ service: 'cache' }) })
  const big = 'x'.repeat(1_000_000)
  t.equal(await redis.set('big', big), 'OK')
  t.equal(await redis.get('big'), big)
  const counts = await Promise.all(Array.from({ length: 100 }, () => redis.incr('count')))
  t.equal(counts.at(-1), 100)
  redis.disconnect()
  await once(redis, 'end')
})

/** A server that says yes to all it is asked. */
const yes = (socket: NodeJS.ReadWriteStream) => {
  socket
    .on('error', () => {})
    .on('data', data => {
      for (const _command of String(data).match(/^\*/gm) ?? []) socket.write('+OK\r\n')
    })
}

test('it comes back by itself, at whatever port the service has then', async t => {
  await home(t)
  const options = {
    Connector: connector({ service: 'cache' }),
    enableReadyCheck: false,
    retryStrategy: () => 1,
  }
  const redis = new Redis({ ...options, host: 'localhost' })
  redis.on('error', () => {})
  for (let life = 0; life < 2; life++) {
    const server = createServer(yes)
    const sockets = new Set<NodeJS.ReadWriteStream & { destroy(): void }>()
    server.on('connection', socket => sockets.add(socket))
    await once(server.listen('cache'), 'listening')
    t.equal(await redis.set('a', 'b'), 'OK')
    const closed = once(server.close(), 'close')
    for (const socket of sockets) socket.destroy()
    await closed
  }
  redis.disconnect()
})

test('TLS goes over a name, and a server that does not close is left', async t => {
  await home(t)
  const server = listen(tls.createServer({ key, cert, allowHalfOpen: true }, yes), 'cache')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const Connector = connector({ service: 'cache' })
  const options = { host: 'localhost', tls: { ca: cert }, disconnectTimeout: 1 }
  const redis = new Redis({ Connector, enableReadyCheck: false, ...options })
  t.equal(await redis.set('a', 'b'), 'OK')
  redis.disconnect()
  await once(redis, 'end')
})
