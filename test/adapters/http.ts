import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { Server, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { test, type Test } from 'tap'
import { Agent, HttpsAgent } from '../../lib/adapters/http.ts'
import { cert } from '../fixtures/certificate.ts'
import { home } from '../fixtures/home.ts'
import { portOf } from '../fixtures/services.ts'
import { web, type Serve } from '../fixtures/web.ts'

/** A server that says its name and how many connections it has had. */
function site(t: Test, name: string, secure = false): Promise<http.Server> {
  const serve: Serve = (connections, _request, response) => response.end(`${name} ${connections}`)
  return web(t, name, { secure, serve })
}

async function get(url: string, options: https.RequestOptions & { service?: string }) {
  const request = (url.startsWith('https:') ? https : http).get(url, options)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  return text(response)
}

test('requests go to the service of the agent, over a connection that is kept', async t => {
  await home(t)
  await site(t, 'web')
  await site(t, 'other')
  const agent = new Agent({ service: 'web', keepAlive: true })
  t.teardown(() => agent.destroy())
  const [first] = await once(http.get('http://localhost/', { agent }), 'response')
  t.equal(await text(first as http.IncomingMessage), 'web 1')
  t.equal(await get('http://localhost/', { agent }), 'web 1')
  t.equal(await get('http://localhost:81/', { agent }), 'web 1', 'the port does not matter')
  t.equal(await get('http://localhost/', { agent }), 'web 1')
})

test('two services of one host share no connection', async t => {
  await home(t)
  await site(t, 'web')
  await site(t, 'other')
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  t.equal(await get('http://localhost/', { agent, service: 'web' }), 'web 1')
  t.equal(await get('http://localhost/', { agent, service: 'other' }), 'other 1')
  t.equal(await get('http://localhost/', { agent, service: 'web@0.x' }), 'web 2')
  t.equal(await get('http://localhost/', { agent, service: 'web' }), 'web 2', 'the first, again')
})

test('with no service it is an agent of node', async t => {
  await home(t)
  const server = await site(t, 'web')
  const agent = new Agent()
  t.equal(await get(`http://127.0.0.1:${portOf(server)}/`, { agent }), 'web 1')
  t.equal(agent.getName(), http.globalAgent.getName())
})

test('TLS goes over a name, for the host of the request', async t => {
  await home(t)
  const server = await site(t, 'web', true)
  const agent = new HttpsAgent({ service: 'web', keepAlive: true, ca: cert })
  t.teardown(() => agent.destroy())
  const secured = once(server, 'secureConnection')
  t.equal(await get('https://localhost/', { agent }), 'web 1')
  t.match(await secured, [{ servername: 'localhost' }])
  t.equal(await get('https://localhost/', { agent }), 'web 1')

  const plain = new HttpsAgent({ ca: cert })
  t.equal(await get(`https://localhost:${portOf(server as Server)}/`, { agent: plain }), 'web 2')
  const wary = new HttpsAgent({ service: 'web' })
  await t.rejects(get('https://localhost/', { agent: wary }), {
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  })
  t.equal(wary.getName(), `${https.globalAgent.getName()}`)
})

test('a service that is not there is an error of the request', async t => {
  await home(t)
  for (const [protocol, agent] of [
    ['http', new Agent({ service: 'web' })],
    ['https', new HttpsAgent({ service: 'web' })],
  ] as const) {
    const failed = get(`${protocol}://localhost/`, { agent })
    await t.rejects(failed, { code: 'ECONNREFUSED', service: 'web', reason: 'ENOSERVICE' })
  }
})

test('an upgrade gives the socket away, which knows its name', async t => {
  await home(t)
  const server = await site(t, 'web')
  server.on('upgrade', (_request, socket: Socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello')
  })
  const headers = { upgrade: 'x', connection: 'upgrade' }
  const request = http.get('http://localhost/', { agent: new Agent({ service: 'web' }), headers })
  const [, socket, head] = (await once(request, 'upgrade')) as [unknown, Socket, Buffer]
  t.match(socket, { moniker: { service: 'web' } })
  t.equal(String(head) + (await text(socket)), 'hello')
})
