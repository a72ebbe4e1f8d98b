import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import http, { type ClientRequest, type IncomingMessage, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { test, type Test } from 'tap'
import type { Name } from '../../lib/name.ts'
import type { Endpoint } from '../../lib/wire/protocol.ts'
import { Agent } from '../../lib/adapters/http.ts'
import { fetch, fetchBy, get, request } from '../../lib/adapters/request.ts'
import { listen } from '../../lib/sockets/server.ts'
import { cert } from '../fixtures/certificate.ts'
import { home } from '../fixtures/home.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { nobody } from '../fixtures/services.ts'
import { web, type Serve } from '../fixtures/web.ts'

/** A server on `name` that says what it was asked, and over how many connections; `/away` leads away. */
function site(t: Test, name: string, secure = false, away = '/'): Promise<Server> {
  const serve: Serve = (connections, asked, response) => {
    const { method, url, headers } = asked
    if (url === '/away') return void response.writeHead(302, { location: away }).end()
    const { host, authorization = '-' } = headers
    response.write([name, connections, method, url, host, authorization, ''].join(' '))
    asked.pipe(response)
  }
  return web(t, name, { secure, serve })
}

async function said(sent: ClientRequest): Promise<string> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return text(response)
}

test('a request goes to a name, with what its URI says', async t => {
  const port = await home(t)
  await site(t, 'web@1.2.0')
  await site(t, 'ns:web')
  const cases: [target: string | URL, answer: string][] = [
    ['web://', 'web@1.2.0 GET / localhost - '],
    ['web://localhost/a?b=1#c', 'web@1.2.0 GET /a?b=1 localhost - '],
    ['web@^1://127.0.0.1?q', 'web@1.2.0 GET /?q 127.0.0.1 - '],
    ['web://a:s@localhost//127.0.0.2/x', 'web@1.2.0 GET //127.0.0.2/x localhost Basic YTpz '],
    ['web://localhost/\\evil.example', 'web@1.2.0 GET //evil.example localhost - '],
    ['ns:web:///ä b', 'ns:web GET /%C3%A4%20b localhost - '],
    [new URL(`web://a:s%40@127.0.0.1:${port}/`), 'web@1.2.0 GET / 127.0.0.1 Basic YTpzQA== '],
  ]
  for (const [target, answer] of cases) {
    const bare = (text: string) => text.replace(/ \d+/, '')
    t.equal(bare(await said(get(target))), answer, String(target))
    t.equal(bare(await (await fetch(target)).text()), answer, 'fetched')
  }
})

test('what is for one request alone is none of the next', async t => {
  await home(t)
  await site(t, 'web')
  t.match(await said(get('web://', { agent: false })), /^web 1 /)
  t.match(await said(get('web://', { agent: false })), /^web 2 /, 'a connection of its own')
  t.match(await said(get('web://', { agent: undefined })), /^web 3 /, 'none is that of ours')
  const agent = new Agent()
  t.match(await said(get('web://', { agent })), /^web 4 /, 'nor is that of the program')
  await site(t, 'safe', true)
  t.match(await said(get('safe://', { agent: false, tls: { ca: cert } })), /^safe 1 /)
  for (const side of ['light', 'dark']) {
    const server = http.createServer((_asked, response) => response.end(side))
    listen(server, { service: 'force', shared: true, metadata: { side } })
    t.teardown(() => server.close())
    await once(server, 'listening')
  }
  for (const side of ['light', 'dark', 'light']) {
    const select = (all: readonly Endpoint[]) => all.find(({ metadata }) => metadata?.side === side)
    t.equal(await said(get('force://', { select } as object)), side)
  }
})

test('a host may have a zone', async t => {
  await home(t)
  const asked = { code: /ECONNREFUSED|EHOSTUNREACH/, host: '::1%lo', service: 'web' }
  await t.rejects(once(get('web://[::1%25lo]/z'), 'response'), asked)
  await t.rejects(fetch('web://[::1%25lo]/z'), { cause: asked })
})

test('connections are kept, and pooled by name', async t => {
  await home(t)
  const server = await site(t, 'web')
  for (let times = 0; times < 3; times++) t.match(await said(get('web://')), /^web 1 /)
  for (let times = 0; times < 8; times++) await (await fetch('web://')).text()
  const count = await new Promise<number>(resolve =>
    server.getConnections((_error, count) => resolve(count)),
  )
  t.ok(count < 6, `${count} connections for 11 requests`)
})

test('a request has a body, options and a callback, as one of http', async t => {
  await home(t)
  await site(t, 'web')
  const options = { method: 'POST', headers: { host: 'theforce.test' } }
  const sent = request('web://localhost/', options, response => response.resume())
  sent.end('hello')
  await once(sent, 'response')
  t.match(await said(request('web://', options).end('hello')), /POST \/ theforce\.test - hello$/)
  const plain = request('web://', response => response.resume())
  await once(plain.end(), 'response')
  const response = await fetch('web://', {
    method: 'PUT',
    body: 'you',
    headers: { authorization: 'x' },
  })
  t.match(await response.text(), /PUT \/ localhost x you$/)
  await t.rejects(once(get('web://', { version: '^7' }), 'response'), { code: 'ECONNREFUSED' })
  const waiting = said(get('late://', { wait: 60_000 }))
  await site(t, 'late')
  t.match(await waiting, /^late 1 GET/)
})

test('an address of IPv6 stands in brackets', { skip: withoutIPv6 }, async t => {
  await home(t, ['127.0.0.1', '::1'])
  await site(t, 'web')
  t.match(await said(get('web://[::1]/x')), /GET \/x \[::1\] /)
  t.match(await (await fetch('web://[::1]/x')).text(), /GET \/x \[::1\] /)
})

test('it goes over TLS where it is to', async t => {
  await home(t)
  await site(t, 'web', true)
  const tls = { ca: cert }
  t.match(await said(get('web://localhost/a', { tls })), /GET \/a localhost/)
  for (let times = 0; times < 2; times++) {
    t.match(await (await fetch('web://localhost/a', { tls })).text(), /^web \d GET \/a localhost/)
  }
  const untrusted = { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }
  await t.rejects(once(get('web://localhost/', { tls: true }), 'response'), untrusted)
  await t.rejects(fetch('web://localhost/', { tls: true }), { cause: untrusted })
})

test('a redirect stays with the name, or leads to another origin as it says', async t => {
  await home(t)
  const plain = http.createServer((_request, response) => response.end('a port'))
  await once(plain.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    plain.close()
    plain.closeAllConnections()
  })
  const { port } = plain.address() as { port: number }
  await site(t, 'near', false, '/there')
  await site(t, 'far', false, `http://127.0.0.1:${port}/`)
  t.match(await (await fetch('near://localhost/away')).text(), /^near \d GET \/there/)
  t.equal(await (await fetch('far://localhost/away')).text(), 'a port')
})

test('what fails says what was asked for', async t => {
  await home(t)
  const refused = { code: 'ECONNREFUSED', reason: 'ENOSERVICE', service: 'tie' }
  await t.rejects(once(get('tie://'), 'response'), refused)
  for (const get of [fetch, fetchBy(() => import('undici'))])
    await t.rejects(get('tie://'), { cause: refused })
  t.throws(() => get('no name'), { code: 'ERR_MONIKER_NAME' })
  await t.rejects(fetch('no name'), { code: 'ERR_MONIKER_NAME' })
  const without = fetchBy(() => import('no such package' as string) as Promise<object>)
  const message = /the package undici is needed to fetch from ns:tie; npm install undici/
  await t.rejects(without('ns:tie://'), { code: 'ERR_MODULE_NOT_FOUND', message })
})

test('fetch takes the options of connect that are not in the URI', async t => {
  const daemonPort = await nobody()
  const server = http.createServer((_asked, response) => response.end('well known'))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => void server.close())
  const { port } = server.address() as AddressInfo
  const endpoint = {
    transport: 'tcp',
    port,
    address: '127.0.0.1',
    version: '',
    instance: '',
  } as const
  const resolver = {
    resolve: async (name: Name) => ({ name, host: '', endpoints: [endpoint], ttl: 0 }),
  }
  const response = await fetch('any://localhost/', { resolver, daemonPort })
  t.equal(await response.text(), 'well known')
  await t.rejects(fetch('any://localhost/', { fallback: ['dns' as never] }), {
    code: 'ERR_INVALID_ARG_VALUE',
  })
  const failed = await fetch('any://localhost/', { daemonPort }).catch((error: Error) => error)
  t.match(failed, { cause: { reason: 'ENODAEMON' } }, 'and shares no pool with who has others')
})
