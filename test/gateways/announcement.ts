import type { Socket } from 'node:net'
import { test } from 'tap'
import { Announcement } from '../../lib/gateways/announcement.ts'
import { Gateway } from '../../lib/gateways/gateway.ts'
import type { Daemon } from '../../lib/daemon/daemon.ts'
import { LineSplitter } from '../../lib/wire/splitter.ts'
import { decode, encode, idOf, type Answer } from '../../lib/wire/protocol.ts'
import { daemon } from '../fixtures/daemon.ts'
import { site } from '../fixtures/gateway.ts'
import { nobody, stranger } from '../fixtures/services.ts'

/** Waits until a daemon knows so many gateways. */
async function known(daemon: Daemon, count: number): Promise<void> {
  while (daemon.status().gateways.length !== count) await new Promise(setImmediate)
}

test('the daemon knows of a gateway for as long as that is there, and so does the next one', async t => {
  const one = await daemon(t)
  const { port: daemonPort } = one
  const announcement = new Announcement({ port: 6680, daemonPort })
  t.teardown(() => announcement.close())
  await known(one, 1)
  t.match(one.status().gateways, [{ address: '127.0.0.1', port: 6680 }])
  await one.stop()
  const next = await daemon(t, { port: daemonPort })
  await known(next, 1)
  announcement.close()
  await known(next, 0)
})

test('a gateway is there before its daemon', async t => {
  const daemonPort = await nobody()
  const { gateway } = await site(t, { daemonPort })
  const late = await daemon(t, { port: daemonPort })
  await known(late, 1)
  t.match(late.status().gateways, [{ port: gateway.port }])
  await gateway.close()
  await known(late, 0)
})

test('of a gateway that is for one program the daemon is not told', async t => {
  const one = await daemon(t)
  const options = { port: 0, daemonPort: one.port }
  const gateways = [
    await Gateway.open({ ...options, isPrivate: true }),
    await Gateway.open(options),
  ]
  t.teardown(() => Promise.all(gateways.map(each => each.close())))
  await known(one, 1)
  t.match(one.status().gateways, [{ port: gateways[1]!.port }])
})

test('a daemon that refuses, or is too old, is told again when it has gone', async t => {
  const answers: Answer[] = [{ error: { code: 'EPROTOCOL' } }, { gateway: true }, { error: {} }]
  const sockets: Socket[] = []
  const told: Answer[] = []
  const daemonPort = await stranger(t, socket => {
    sockets.push(socket)
    socket.pipe(new LineSplitter()).on('data', ([line]: [string]) => {
      told.push(decode(line))
      socket.write(encode(idOf(decode(line)), answers[told.length - 1]!))
    })
  })
  const announcement = new Announcement({ port: 6680, daemonPort })
  t.teardown(() => announcement.close())
  const asked = async (count: number) => {
    while (told.length < count) await new Promise(setImmediate)
  }
  await asked(1)
  sockets[0]!.destroy()
  await asked(2)
  sockets[1]!.destroy()
  await asked(3)
  t.match(told[2], { op: 'gateway', port: 6680 })
  announcement.close()
  while (!sockets[2]!.closed) await new Promise(setImmediate)
})
