import { test } from 'tap'
import { statusCommand } from '../../lib/commands/status.ts'
import { printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { lines } from '../fixtures/lines.ts'
import { decode, encode, idOf } from '../../lib/wire/protocol.ts'
import { nobody, stranger } from '../fixtures/services.ts'

test('a daemon says how it is doing', async t => {
  const ours = await daemon(t)
  const lines = await printed(t, statusCommand, '127.0.0.1', '--daemon-port', String(ours.port))
  const { started } = ours.status()
  t.match(lines, new RegExp(`^pid +${process.pid}$`, 'm'))
  t.match(lines, new RegExp(`^port +${ours.port}$`, 'm'))
  t.match(lines, new RegExp(`^started +${new Date(started).toISOString()}$`, 'm'))
  t.match(lines, /^udp +127.0.0.1$/m)
  t.match(lines, /^embedded +false$/m)
  t.match(lines, /^shares +1 of 16384 connections, 0 of 8192 connections from other hosts, /m)
})

test('it says which gateways there are, and whose', async t => {
  const ours = await daemon(t)
  const nc = await lines(t, ours.port)
  nc.ask({ op: 'gateway', port: 6680 })
  await nc.answer()
  const at = ['127.0.0.1', '--daemon-port', String(ours.port)]
  const [{ uid } = {}] = ours.status().gateways
  const whose = uid === undefined ? 'a user that cannot be known' : `user ${uid}`
  t.match(
    await printed(t, statusCommand, ...at),
    new RegExp(`^gateways +127.0.0.1:6680 of ${whose}$`, 'm'),
  )
  const told = JSON.parse(await printed(t, statusCommand, ...at, '--json')) as object
  t.match(told, { gateways: [{ address: '127.0.0.1', port: 6680 }] })
})

test('and as JSON', async t => {
  const ours = await daemon(t)
  const text = await printed(t, statusCommand, '--json', '--daemon-port', String(ours.port))
  const { pid, port, udp } = ours.status()
  t.match(JSON.parse(text), { pid, port, udp, started: Number, questions: 1 })
})

test('whatever a stranger says that it is, that is said', async t => {
  const answer = {
    started: 9e15,
    udp: ['::1', { a: '\u202E' }],
    names: { toString: 1 },
    shares: [null, { of: 'names' }],
    gateways: [null, { address: '::1', port: 80 }, { address: '::1', port: 80, uid: '\u009B' }],
    pid: null,
    '\u009B': true,
  }
  const port = await stranger(t, socket =>
    socket.on('data', data => socket.write(encode(idOf(decode(String(data))), answer))),
  )
  const at = ['127.0.0.1', '--daemon-port', String(port)]
  t.same((await printed(t, statusCommand, ...at)).split('\n'), [
    'started   9000000000000000',
    'udp       ::1, {"a":"\\u202e"}',
    'names     {"toString":1}',
    'shares    null, {"of":"names"}',
    'gateways  null, [::1]:80 of a user that cannot be known, [::1]:80 of user "\\u009b"',
    'pid       null',
    '          true',
    '',
  ])
  const when = await printed(t, statusCommand, ...at, '--json')
  t.same(JSON.parse(when), answer)
})

test('where no daemon answers, that is said', async t => {
  const status = printed(t, statusCommand, '--daemon-port', String(await nobody()))
  await t.rejects(status, { code: 'ECONNREFUSED', message: /no daemon answers/ })
})
