import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import type { Socket } from 'node:net'
import { test } from 'tap'
import { onwardHeaders, trustOf } from '../../lib/gateways/forward.ts'
import { replyBySocks } from '../../lib/gateways/socks.ts'

test('an address of IPv6 stands in brackets, and an odd host in none', t => {
  const request = { headers: {}, rawHeaders: [], httpVersion: '1.1' } as unknown as IncomingMessage
  const headers = onwardHeaders(request, { address: '::1', via: 'us', host: 'a"b' })
  t.strictSame(headers, [
    'Host',
    'a"b',
    'X-Forwarded-For',
    '::1',
    'X-Forwarded-Proto',
    'http',
    'X-Forwarded-Host',
    'a"b',
    'Forwarded',
    'for="[::1]";proto=http',
    'Via',
    '1.1 us',
  ])
  const none = onwardHeaders(request, { address: '127.0.0.1', via: 'us', host: '' })
  t.notOk(none.includes('X-Forwarded-Host'))
  t.end()
})

test('a service of another host proves who it is by its certificate', t => {
  t.strictSame(trustOf(''), { rejectUnauthorized: false })
  t.strictSame(trustOf('theforce.net'), { host: 'theforce.net', servername: 'theforce.net' })
  t.strictSame(trustOf('192.0.2.1'), { host: '192.0.2.1', servername: '' })
  t.end()
})

test('a refusal that SOCKS has no word for is a failure', async t => {
  const socket = new PassThrough()
  replyBySocks(socket as unknown as Socket, 503)
  t.equal((socket.read() as Buffer)[1], 1)
})
