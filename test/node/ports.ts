import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { createServer, isIPv6 } from 'node:net'
import { test, type Test } from 'tap'
import { bound, freePort, isFree, listening } from '../../lib/node/ports.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'

const never = new AbortController().signal

/** The reason to skip what listens at `host`, or false. */
const without = (host: string) => isIPv6(host) && withoutIPv6

/** Listens on `port` until the test ends, at all addresses unless told otherwise. */
async function listener(t: Test, port: number, host?: string): Promise<void> {
  const server = createServer()
  t.teardown(() => server.close())
  await once(server.listen(port, host), 'listening')
}

/** Takes datagrams on `port` until the test ends. */
async function datagrams(t: Test, port: number, host: string): Promise<void> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  t.teardown(() => socket.close())
  await once(socket.bind(port, host), 'listening')
}

test('a free port can be bound, and is not one that systems give out by themselves', async t => {
  const port = await freePort()
  t.ok(port > 10_080 && port < 32_768, `${port}`)
  t.equal(await isFree(port), true)
  await listener(t, port)
})

for (const host of ['127.0.0.1', '0.0.0.0', '::', '::1']) {
  test(`a port that is taken at ${host} is not free`, { skip: without(host) }, async t => {
    const port = await freePort()
    await listener(t, port, host)
    t.equal(await isFree(port), false)
  })
}

for (const [host, address] of [
  ['127.0.0.1', '127.0.0.1'],
  ['127.1.2.3', '127.1.2.3'],
  ['0.0.0.0', '0.0.0.0'],
  ['::', '::'],
  ['::1', '::1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
] as const) {
  const skip = process.platform === 'linux' ? without(host) : 'only Linux has a table of them'
  test(`what listens at ${host} is read from the table of the kernel`, { skip }, async t => {
    const port = await freePort()
    await listener(t, port, host)
    t.equal(await listening(port, never), address)
  })
}

for (const host of ['127.0.0.1', '::1']) {
  const skip = without(host)
  test(`ports of both transports at ${host} are looked for together`, { skip }, async t => {
    const [tcp, udp, none] = [await freePort(), await freePort(), await freePort()]
    await listener(t, tcp, host)
    await datagrams(t, udp, host)
    const spots = [tcp, udp, none].flatMap(port => [
      { transport: 'tcp', port } as const,
      { transport: 'udp', port } as const,
    ])
    const found = [host, undefined, undefined, host, undefined, undefined]
    t.same(await bound(spots), found)
    t.equal(await listening(udp, never, 'udp'), host)
    const elsewhere = t.intercept(process, 'platform', { value: 'darwin' })
    t.same(await bound(spots), found, 'and so they are where there is no table')
    elsewhere.restore()
  })

  test(`where the kernel has no table, ${host} is found by trying`, { skip }, async t => {
    t.intercept(process, 'platform', { value: 'darwin' })
    const port = await freePort()
    const found = listening(port, never)
    await listener(t, port, host)
    t.equal(await found, host)
  })
}

test('no ports are looked for in no time', async t => {
  t.same(await bound([]), [])
})

test('a host without IPv6 has no table of it', async t => {
  const { readFile } = fs
  const replace = (own: typeof readFile) => {
    fs.readFile = own
    syncBuiltinESMExports()
  }
  t.teardown(() => replace(readFile))
  const missing = new Error('no such file')
  replace((async (file: string, encoding: BufferEncoding) => {
    if (file.endsWith('tcp6')) throw missing
    return readFile(file, encoding)
  }) as typeof readFile)

  const port = await freePort()
  const found = listening(port, never)
  await listener(t, port, '127.0.0.1')
  t.equal(await found, '127.0.0.1')
})

test('a program is waited for until it listens, or nobody wants to know any more', async t => {
  const port = await freePort()
  const found = listening(port, never)
  const given = new AbortController()
  const lost = listening(await freePort(), given.signal)
  const reason = new Error('the command has ended')
  given.abort(reason)
  await t.rejects(lost, reason)

  await listener(t, port, '127.0.0.1')
  t.equal(await found, '127.0.0.1')
})
