import { once } from 'node:events'
import { connect as connectHTTP2 } from 'node:http2'
import { createServer as createHTTP, request as requestOf, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'tap'
import { Gateway } from '../../lib/gateways/gateway.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { elsewhere, external } from '../fixtures/external.ts'
import { ask, converse, site } from '../fixtures/gateway.ts'
import { named, nobody, portOf, stranger } from '../fixtures/services.ts'
import { createServer as createSecure } from 'node:https'

const HELLO = Buffer.from('hello')

test('a browser finds a server by its name', async t => {
  const { get, serve, gateway } = await site(t)
  await serve({ service: 'web' })
  await serve({ service: 'web', namespace: 'luke' })
  const { status, headers, body } = await get(`web.localhost:${gateway.port}`, '/a?b=1')
  t.equal(status, 200)
  t.match(headers, { 'content-type': 'application/json' })
  t.match(JSON.parse(body), { method: 'GET', url: '/a?b=1' })
  t.equal((await get('web.luke.localhost')).status, 200)
  t.strictSame(gateway.addresses.slice(0, 1), ['127.0.0.1'])
})

test('a service is told who has asked, whatever the client says', async t => {
  const { get, serve } = await site(t)
  await serve({})
  const headers = {
    'X-Forwarded-For': '203.0.113.1',
    Forwarded: 'for=203.0.113.1',
    Connection: 'x-own, close',
    'X-Own': 'for this connection',
    'X-Kept': 'yes',
    TE: 'trailers, deflate',
  }
  const { headers: told } = JSON.parse((await get('web.localhost:1', '/', headers)).body) as {
    headers: Record<string, string>
  }
  t.match(told, {
    host: 'web.localhost:1',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'web.localhost:1',
    'x-forwarded-proto': 'http',
    forwarded: 'for=127.0.0.1;proto=http;host="web.localhost:1"',
    via: /^1\.1 moniker-[0-9a-f]{16}$/,
    'x-kept': 'yes',
    te: 'trailers',
  })
  t.notOk('x-own' in told)
})

test('bodies go both ways, and trailers', async t => {
  const { gateway, serve } = await site(t)
  await serve({}, async (request, response) => {
    response.writeHead(201, 'Made', { trailer: 'x-sum' })
    for await (const chunk of request) response.write(chunk)
    response.addTrailers({ 'x-sum': '42' })
    response.end()
  })
  for (const method of ['POST', 'PUT']) {
    for (const isChunked of [true, false]) {
      const request = createRequest(gateway.port, method, isChunked ? undefined : 5)
      request.write('he')
      request.end('llo')
      const [answer] = (await once(request, 'response')) as [IncomingMessage]
      t.equal(await text(answer), 'hello')
      t.match(answer, { statusCode: 201, statusMessage: 'Made', trailers: { 'x-sum': '42' } })
    }
  }
})

test('a large body of a request that may be repeated is passed on as it comes', async t => {
  const { gateway, serve } = await site(t)
  await serve({}, async (request, response) => {
    response.end(String((await text(request)).length))
  })
  const request = createRequest(gateway.port, 'PUT', 100_000)
  request.end('x'.repeat(100_000))
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  t.equal(await text(answer), '100000')
})

test('an answer that breaks off breaks off there too', async t => {
  const { gateway, serve } = await site(t)
  await serve({}, (_request, response) => {
    response.write('half')
    setImmediate(() => response.destroy())
  })
  const request = createRequest(gateway.port, 'GET').end()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  await t.rejects(text(answer), { code: 'ECONNRESET' })
})

test('an answer that cannot be passed on is an error, and no trouble', async t => {
  const { get, gateway, daemonPort } = await site(t)
  const answers = [
    'HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  ]
  await named(t, { service: 'odd', host: '127.0.0.1', daemonPort }, socket => {
    socket.on('data', data => void socket.end(answers[/99/.test(String(data)) ? 0 : 1]!))
  })
  const session = connectHTTP2(`http://127.0.0.1:${gateway.port}`)
  t.teardown(() => session.close())
  const stream = session.request({ ':path': '/99', ':authority': 'odd.localhost' })
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
  t.equal(headers[':status'], 502)
  t.match(await get('odd.localhost', '/99'), { status: 502, body: /^odd: / })
  t.equal((await get('odd.localhost', '/')).status, 200)
})

test('a client that goes takes its request with it', async t => {
  const { gateway, serve } = await site(t)
  let gone!: Promise<unknown>
  let came!: () => void
  const asked = new Promise<void>(resolve => (came = resolve))
  await serve({}, request => {
    gone = once(request.socket, 'close')
    came()
  })
  const request = createRequest(gateway.port, 'POST').on('error', () => {})
  request.end()
  await asked
  request.destroy()
  await gone
})

test('a page that knows no name tells those that there are', async t => {
  const { get, serve, daemonPort } = await site(t)
  await serve({ service: 'web' })
  await serve({ service: 'a.b' })
  await named(t, { service: 'db', host: '127.0.0.1', daemonPort })
  const html = { accept: 'text/html' }
  for (const host of [
    'localhost',
    '127.0.0.1:6680',
    '[::1]',
    'nope.localhost',
    'moniker.localhost',
  ]) {
    const { status, body, headers } = await get(host)
    t.equal(status, 404, host)
    t.match(body, /a\.b\n {2}db\n {2}web\n$/, host)
    t.match(headers, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  }
  const { body, headers } = await get('localhost:6680', '/', html)
  t.match(body, '<li>a.b</li><li><a href="http://db.localhost:6680/">db</a></li>')
  t.match(headers, { 'content-type': 'text/html; charset=utf-8' })
  const foreign = await get('localhost', '/', { origin: 'http://evil.test' })
  t.notMatch(foreign.body, 'web', 'a page of another site is told none')
})

test('no other host name leads here', async t => {
  const { get, say, serve } = await site(t)
  await serve({})
  for (const host of [
    'evil.test',
    'web',
    'web.moniker.internal',
    'moniker.internal',
    '192.0.2.1',
    'a b',
  ]) {
    const { status, body } = await get(host)
    t.equal(status, 421, host)
    t.notMatch(body, 'web')
  }
  t.match(await say('GET / HTTP/1.0\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 421 /)
  t.match(await say('GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 421 /)
  // A body that is on its way is not waited for.
  t.match(
    await say('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n'),
    /^HTTP\/1\.1 421 [^]*connection: close/,
  )
})

test('a request that has come here before is refused', async t => {
  const { get, say, serve, gateway } = await site(t)
  await serve({ service: 'teller' })
  await serve({}, async (request, response) => {
    const { via } = request.headers
    const again = await ask({ port: gateway.port, headers: { host: 'web.localhost', via: via! } })
    response.writeHead(again.status).end(again.body)
  })
  t.equal((await get('web.localhost')).status, 508)
  const { via } = (JSON.parse((await get('teller.localhost')).body) as { headers: { via: string } })
    .headers
  const upgrade = `GET / HTTP/1.1\r\nHost: web.localhost\r\nVia: ${via}\r\nUpgrade: x\r\n`
  t.match(await say(`${upgrade}Connection: upgrade\r\n\r\n`), /^HTTP\/1\.1 508 /)
})

test('a service that refuses, or says nothing, is told of by its name', async t => {
  const { get, serve, daemonPort } = await site(t, { timeout: 100 })
  await serve({ service: 'mute' }, () => {})
  const mute = await get('mute.localhost')
  t.match(mute, { status: 504, body: /^mute: / })
  const rude = await named(t, { service: 'rude', host: '127.0.0.1', daemonPort }, socket =>
    socket.destroy(),
  )
  t.ok(rude.listening)
  t.match(await get('rude.localhost', '/', {}, 'POST'), { status: 502, body: /^rude: / })
})

test('without a daemon it says so', async t => {
  const daemonPort = await nobody()
  const gateway = await Gateway.open({ port: 0, daemonPort })
  t.teardown(() => gateway.close())
  const page = await ask({ port: gateway.port, headers: { host: 'web.localhost' } })
  t.match(page, { status: 502, body: /^web: .*daemon/ })
  t.match(await ask({ port: gateway.port, headers: { host: 'localhost' } }), { status: 404 })
})

test('an upgraded connection is gone when its client is', async t => {
  const { gateway, serve } = await site(t)
  const { server } = await serve({})
  const upgraded = new Promise<Socket>(resolve => {
    server.on('upgrade', (_request, socket: Socket) => {
      socket
        .on('error', () => {})
        .write('HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
      resolve(socket.resume().on('end', () => socket.end()))
    })
  })
  const client = connect(gateway.port, '127.0.0.1')
  client.write('GET / HTTP/1.1\r\nHost: web.localhost\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
  await once(client, 'data')
  const served = await upgraded
  client.resetAndDestroy()
  if (!served.destroyed) await once(served, 'close')
})

test('a connection that says nothing is let go', async t => {
  const { gateway } = await site(t)
  const client = connect(gateway.port, '127.0.0.1').resume()
  client.end()
  await once(client, 'close')
})

test('it can be reached at all addresses, and by those alone', async t => {
  const { get, serve, gateway } = await site(t, { hosts: ['0.0.0.0', '127.0.0.9'] })
  await serve({})
  t.ok(gateway.addresses.includes('0.0.0.0'))
  t.notOk(gateway.addresses.includes('127.0.0.1'))
  t.equal((await get('web.localhost')).status, 200)
  t.equal((await get('127.0.0.1')).status, 404)
  t.equal((await get('192.0.2.1')).status, 421)
})

test('an address that it is bound to leads to it', elsewhere, async t => {
  const { gateway } = await site(t, { hosts: [external!] })
  const { port } = gateway
  t.match(await ask({ host: external!, port, headers: { host: external! } }), { status: 404 })
  t.match(await ask({ port, headers: { host: external! } }), { status: 421 }, 'but not from here')
})

test('a port that is taken is an error', async t => {
  const port = await stranger(t)
  await t.rejects(Gateway.open({ port, daemonPort: await nobody() }), { code: 'EADDRINUSE' })
})

test('an upgraded connection is joined', async t => {
  const { say, serve } = await site(t)
  const { server } = await serve({})
  server.on('upgrade', (_request, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
    socket.on('error', () => {}).pipe(socket)
  })
  const upgrade = (host: string) =>
    `GET /x HTTP/1.1\r\nHost: ${host}\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n`
  t.match(
    await say(`${upgrade('web.localhost')}hello`, true),
    /^HTTP\/1\.1 101 Switching Protocols\r\n[^]*hello$/,
  )
  t.match(await say(upgrade('nope.localhost')), /^HTTP\/1\.1 404 /)
  t.match(await say(upgrade('localhost')), /^HTTP\/1\.1 404 /)
  t.match(await say(upgrade('evil.test')), /^HTTP\/1\.1 421 /)
  const unknown = upgrade('x').replace('/x', 'http://unknown/')
  t.match(await say(unknown), /^HTTP\/1\.1 404 /)
  await serve({ service: 'plain' })
  t.match(await say(upgrade('plain.localhost')), /^HTTP\/1\.1 200 OK[^]*"url":"\/x"/)
})

test('HTTP/2 without TLS is spoken too', async t => {
  const { gateway, serve } = await site(t)
  await serve({}, (request, response) => {
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.end(`${request.method} ${request.headers.host} ${request.headers.via}`)
  })
  const session = connectHTTP2(`http://127.0.0.1:${gateway.port}`)
  t.teardown(() => session.close())
  for (const [authority, status] of [
    ['web.localhost', 200],
    ['nope.localhost', 404],
  ] as const) {
    const stream = session.request({ ':path': '/', ':authority': authority })
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    t.equal(headers[':status'], status)
    const body = await text(stream)
    if (status === 200) {
      t.match(body, /^GET web\.localhost 2\.0 moniker-/)
      t.strictSame(headers['set-cookie'], ['a=1', 'b=2'])
    }
  }
})

test('a broken session of HTTP/2 ends alone', async t => {
  const { say, get, serve } = await site(t)
  await serve({})
  await say('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense that is no frame at all')
  t.equal((await get('web.localhost')).status, 200)
})

test('a service that says https is spoken to so', async t => {
  const { get, say, daemonPort } = await site(t)
  const server = createSecure({ key, cert }, (_request, response) => void response.end('safe'))
  const options = { service: 'safe', host: '127.0.0.1', daemonPort, metadata: { scheme: 'https' } }
  await named(t, options, socket => void server.emit('connection', socket))
  t.match(await get('safe.localhost'), { status: 200, body: 'safe' })
  t.match(await get('safe.localhost', '/', {}, 'POST'), { status: 200, body: 'safe' })
  const there = await say('GET safe://127.0.0.1/ HTTP/1.1\r\nConnection: close\r\n\r\n')
  t.match(there, /^HTTP\/1\.1 502 [^]*certificate/, 'another host has to prove who it is')
  server.on('upgrade', (_request, socket: Socket) =>
    socket.end('HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nsafe'),
  )
  const upgrade =
    'GET / HTTP/1.1\r\nHost: safe.localhost\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'
  t.match(await say(upgrade, true), /^HTTP\/1\.1 101 Yes[^]*safe$/)
})

test('pages of other sites reach what says that it is for the web, and nothing else', async t => {
  const { get, serve } = await site(t)
  await serve({ service: 'open', metadata: { scheme: 'http' } })
  await serve({ service: 'quiet' })
  await serve({ service: 'db', metadata: { scheme: 'postgres' } })
  const foreign = [
    { origin: 'http://evil.test' },
    { origin: 'null' },
    { origin: 'http://web.localhost:1' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' },
  ]
  for (const headers of foreign) {
    const of = JSON.stringify(headers)
    t.equal((await get('open.localhost:80', '/', headers)).status, 200, of)
    t.equal((await get('quiet.localhost:80', '/', headers)).status, 403, of)
  }
  const own = [
    {},
    { origin: 'http://web.localhost:80' },
    { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' },
    { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' },
  ]
  for (const headers of own) {
    t.equal((await get('quiet.localhost:80', '/', headers)).status, 200, JSON.stringify(headers))
  }
  t.equal((await get('db.localhost')).status, 403, 'no HTTP is sent to a database')
  const led = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', accept: 'text/html' }
  const { status, body, headers } = await get('quiet.localhost', '/a"b', led)
  t.equal(status, 403)
  t.match(body, '<a href="/a&#34;b">Go to quiet</a>')
  t.match(headers, { 'content-security-policy': /frame-ancestors 'none'/ })
})

test('a name that has just gone is waited for', async t => {
  const { get, serve } = await site(t)
  const first = await serve({ service: 'web' }, (_request, response) => void response.end('one'))
  t.equal((await get('web.localhost')).body, 'one')
  first.server.closeAllConnections()
  await once(first.named.close(), 'close')
  const page = await get('web.localhost', '/', { accept: 'text/html' })
  t.match(page, { status: 503, headers: { 'retry-after': '1' }, body: /web is restarting/ })
  t.match(page.body, '<meta http-equiv="refresh" content="1">', 'a page loads itself again')
  const held = get('web.localhost')
  await serve({ service: 'web' }, (_request, response) => void response.end('two'))
  t.match(await held, { status: 200, body: 'two' }, 'a program is held')
  t.equal((await get('web.localhost', '/', { accept: 'text/html' })).status, 200)
})

test('but not for ever', async t => {
  const { get, serve, gateway } = await site(t, { wait: 50 })
  const first = await serve({})
  t.equal((await get('web.localhost')).status, 200)
  first.server.closeAllConnections()
  await once(first.named.close(), 'close')
  const left = createRequest(gateway.port, 'GET').on('error', () => {})
  left.end(() => left.destroy())
  t.match(await get('web.localhost'), { status: 503, headers: { 'retry-after': '1' } })
})

test('a request that may be repeated is sent again as its connection ends', async t => {
  const { get, serve } = await site(t)
  let requests = 0
  await serve({}, async (request, response) => {
    if (++requests !== 3) request.socket.destroy()
    else response.end(`${request.method} ${await text(request)}`)
  })
  t.equal((await get('web.localhost')).body, 'GET ')
  t.equal((await get('web.localhost', '/', {}, 'POST')).status, 502, 'another is not')
  t.equal(requests, 4)
})

test('a kept connection that its service has ended is not used again', async t => {
  const { get, serve } = await site(t)
  const { server } = await serve({})
  const ends: Promise<unknown>[] = []
  server.on('connection', (socket: Socket) => ends.push(once(socket, 'close')))
  for (let round = 1; round <= 3; round++) {
    t.equal((await get('web.localhost')).status, 200)
    server.closeIdleConnections()
    await ends.at(-1)
  }
  t.equal(ends.length, 3)
})

test('a request that may be repeated is not for ever', async t => {
  const { get, serve } = await site(t)
  let requests = 0
  await serve({}, request => (requests++, request.socket.destroy()))
  t.match(await get('web.localhost'), { status: 502, body: /^web: / })
  t.equal(requests, 3)
})

test('a proxy leads to names by absolute URIs, whatever their scheme', async t => {
  const { say, get, serve, gateway, daemonPort } = await site(t, { names: ['web'] })
  await serve({ service: 'web' }, (request, response) => {
    response.end(`web ${request.url} ${request.headers.host}`)
  })
  await serve({ service: 'http', namespace: 'reynolds' }, (request, response) => {
    response.end(`reynolds ${request.url} ${request.headers.host}`)
  })
  await serve({ service: 'http2' }, (_request, response) => void response.end('two'))
  const absolute = (uri: string) =>
    say(`GET ${uri} HTTP/1.1\r\nHost: ignored\r\nConnection: close\r\n\r\n`)
  t.match(await absolute('http://web.localhost/x'), /web \/x web\.localhost$/)
  t.match(await absolute('http://web/x?y#z'), /web \/x\?y web$/)
  t.match(await absolute('http://web.moniker.internal'), /web \/ web\.moniker\.internal$/)
  t.match(await absolute('reynolds:http://localhost/x'), /reynolds \/x localhost$/)
  t.match(await absolute('reynolds:http:///x'), /reynolds \/x/)
  t.match(await absolute('http2://localhost/'), /two$/)
  t.match(await absolute(`http2://localhost:${daemonPort}/`), /two$/)
  t.match(await absolute(`http2://localhost:${await nobody()}/`), /^HTTP\/1\.1 502 /)
  t.match(await absolute('https://theforce.net/'), /^HTTP\/1\.1 400 [^]*CONNECT/)
  t.match(await absolute('web@1://localhost/'), /^HTTP\/1\.1 404 /)
  t.match(await absolute('web://localhost/'), /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close/)
  t.match(await absolute('web:///'), /^HTTP\/1\.1 200 /)
  t.match(await absolute('nope:nope:nope://x/'), /^HTTP\/1\.1 400 /)
  t.match(await absolute('http://a.1.localhost/'), /^HTTP\/1\.1 404 /)
  t.match(await absolute('http:///'), /^HTTP\/1\.1 400 /)
  t.match(await absolute('ftp://localhost/'), /^HTTP\/1\.1 404 /)
  // Such a request is the only one of its connection.
  const twice = await say(`${'GET web://localhost/ HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2)}`)
  t.equal(twice.match(/HTTP\/1\.1/g)?.length, 1)
  t.equal((await get('web.localhost')).status, 200)
  t.ok(gateway.port)
})

test('a proxy leads to other hosts for programs of its own user', async t => {
  const { say, serve } = await site(t)
  await serve({})
  const server = createHTTP((request, response) => void response.end(`plain ${request.url}`))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const port = portOf(server)
  const absolute = (uri: string, method = 'GET') =>
    say(`${method} ${uri} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  t.match(await absolute(`http://127.0.0.1:${port}/x`), /plain \/x$/)
  t.match(await absolute(`http://localhost:${port}/`), /plain \/$/)
  t.match(await absolute(`http://127.0.0.1:${await nobody()}/`), /^HTTP\/1\.1 502 /)
  t.match(
    await absolute('http://unknown/'),
    /^HTTP\/1\.1 502 [^]*unknown/,
    'a name without a dot is a host name',
  )
})

test('with only names it leads to nothing else', async t => {
  const { say, serve } = await site(t, { onlyNames: true, names: ['web'] })
  await serve({})
  const absolute = (uri: string) => say(`GET ${uri} HTTP/1.1\r\nConnection: close\r\n\r\n`)
  t.match(await absolute('http://127.0.0.1:1/'), /^HTTP\/1\.1 404 /)
  t.match(await absolute('http://unknown/'), /^HTTP\/1\.1 40[34] /)
  t.match(await absolute('http://web/'), /^HTTP\/1\.1 200 /)
})

test('CONNECT leads to names, and to ports', async t => {
  const { say, serve, daemonPort } = await site(t, { names: ['db'] })
  await serve({})
  await named(t, { service: 'db', host: '127.0.0.1', daemonPort })
  const port = await stranger(t, socket => void socket.pipe(socket))
  for (const authority of [
    'db:5432',
    'db.localhost:1',
    'db.moniker.internal:1',
    `127.0.0.1:${port}`,
  ]) {
    t.match(
      await say(`CONNECT ${authority} HTTP/1.1\r\n\r\nhello`, true),
      /^HTTP\/1\.1 200 Connection established\r\n\r\nhello$/,
      authority,
    )
  }
  t.match(await say('CONNECT nope.localhost:1 HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 404 /)
  t.match(await say('CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await say('CONNECT unknown:1 HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 502 /)
})

test('SOCKS5 leads to names, and to ports', async t => {
  const { gateway, daemonPort } = await site(t, { names: ['db'] })
  await named(t, { service: 'db', host: '127.0.0.1', daemonPort })
  const port = await stranger(t, socket => void socket.pipe(socket))
  const call = async (address: Buffer, port: number, command = 1) => {
    const at = Buffer.from([port >> 8, port & 255])
    const [hello, asked] = [Buffer.from([5, 1, 0]), Buffer.from([5, command, 0])]
    const all = await converse(gateway.port, Buffer.concat([hello, asked, address, at, HELLO]))
    return { method: all[1], reply: all[3], rest: all.subarray(12).toString() }
  }
  const name = (text: string) => Buffer.from([3, text.length, ...Buffer.from(text)])
  t.strictSame(await call(name('db'), 5432), { method: 0, reply: 0, rest: 'hello' })
  t.strictSame(await call(name('db.localhost'), 1), { method: 0, reply: 0, rest: 'hello' })
  t.strictSame(await call(Buffer.from([1, 127, 0, 0, 1]), port), {
    method: 0,
    reply: 0,
    rest: 'hello',
  })
  t.match(await call(Buffer.from([4, ...Buffer.alloc(15), 1]), await nobody()), {
    reply: 5,
  })
  t.match(await call(name('nope.localhost'), 1), { reply: 4 })
  t.match(await call(Buffer.from([9]), 1), { reply: 8 })
  t.match(await call(name('db'), 1, 2), { reply: 7 })
})

test('SOCKS5 that asks for a password, or breaks off, is refused', async t => {
  const { gateway } = await site(t)
  const say = async (bytes: number[]) => [...(await converse(gateway.port, Buffer.from(bytes)))]
  t.strictSame(await say([5, 1, 2]), [5, 0xff])
  t.strictSame((await say([5, 0])).slice(0, 2), [5, 0xff])
  t.match(await say([5, 1, 0, 5, 1]), [5, 0])
})

test('what is no protocol of ours is refused', async t => {
  const { say } = await site(t)
  t.match(await say('\u0016\u0003\u0001'), /^HTTP\/1\.1 400 /)
  t.match(await say('nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await say('NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await say('A'.repeat(9_000)), /^HTTP\/1\.1 400 /)
})

test('a first line may come in pieces', async t => {
  const { gateway, serve } = await site(t)
  await serve({})
  const socket = connect(gateway.port, '127.0.0.1')
  for (const piece of [
    'GE',
    'T web:',
    '//localhost/x HTTP/1.1\r',
    '\nHost: x\r\nConnection: close\r\n\r\n',
  ]) {
    socket.write(piece)
    await new Promise(setImmediate)
  }
  t.match(await text(socket), /"url":"\/x"/)
})

function createRequest(port: number, method: string, length?: number) {
  return requestOf({
    port,
    method,
    host: '127.0.0.1',
    agent: false,
    headers: { host: 'web.localhost', ...(length !== undefined && { 'content-length': length }) },
  })
}
