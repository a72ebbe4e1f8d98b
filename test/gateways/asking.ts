import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { t, test, type Test } from 'tap'
import { Asking } from '../../lib/gateways/asking.ts'
import { Gateway } from '../../lib/gateways/gateway.ts'
import { serviceAt } from '../../lib/directories/services.ts'
import { fake, silent } from '../fixtures/fake.ts'
import { far } from '../fixtures/far.ts'
import { line } from '../fixtures/lines.ts'
import { nobody, silence, stranger } from '../fixtures/services.ts'

t.jobs = 4

/** For tests of what is asked: a busy machine may take its time to answer. */
const PATIENT = 30_000

/** Milliseconds that a gateway waits for a daemon. */
const SILENCE = 250

const HOST = '127.0.0.2'

/** The place that is found, as text; `'none'` if it is the plain port. */
async function found(asking: Asking, host: string, port: number): Promise<string> {
  const place = await asking.find({ to: 'elsewhere', host, port })
  const [endpoint] = place?.endpoints ?? []
  return endpoint ? `${place!.name.service} ${endpoint.address} ${endpoint.port}` : 'none'
}

test('the daemon of another host is asked for the service that a usual port stands for', async t => {
  const there = await far(t)
  const asking = new Asking(there.port, PATIENT)
  const usual = { http: 80, https: 443, postgresql: 5_432 }
  for (const [service, port] of Object.entries(usual)) {
    const server = await there.web(service, 'here')
    const { port: at } = server.address() as AddressInfo
    t.equal(await found(asking, there.host, port), `${service} ${there.host} ${at}`)
  }
  t.equal(await serviceAt(4_181), undefined)
  t.equal(await found(asking, there.host, 4_181), 'none', 'a port that the table does not have')
})

test('this host is not asked by a port', async t => {
  const there = await far(t, '127.0.0.1')
  await there.web('http', 'here')
  const asking = new Asking(there.port, PATIENT)
  for (const host of ['localhost', '127.0.0.1', '::1']) {
    t.equal(await found(asking, host, 80), 'none', host)
  }
  t.match(await found(asking, '127.0.0.2', 80), 'none', 'there is no daemon')
})

test('a name that is not there is not asked for again for a minute', async t => {
  const { port, streamed } = await fake(t, {
    address: HOST,
    tcp: ({ id }, socket) =>
      socket.write(line({ id, error: { code: 'ENOSERVICE', message: 'none' } })),
  })
  const asking = new Asking(port, PATIENT)
  for (let times = 0; times < 2; times++) t.equal(await found(asking, HOST, 80), 'none')
  t.equal(streamed.length, 1)
  t.equal(await found(asking, HOST, 443), 'none')
  t.equal(streamed.length, 2, 'another is asked for')
})

test('a host without a daemon is not asked again for a minute', async t => {
  const port = await nobody()
  const asking = new Asking(port, PATIENT)
  t.equal(await found(asking, HOST, 80), 'none')
  const there = await far(t, HOST, { port })
  await there.web('http', 'here')
  t.equal(await found(asking, HOST, 80), 'none')
  t.equal(await found(asking, HOST.toUpperCase(), 443), 'none')
})

test('a daemon that is silent is not waited for', async t => {
  const port = await nobody()
  await silence(t, HOST, port)
  const asking = new Asking(port, SILENCE)
  t.equal(await found(asking, HOST, 80), 'none')
  const start = process.hrtime.bigint()
  t.equal(await found(asking, HOST, 443), 'none')
  t.ok(process.hrtime.bigint() - start < 100_000_000n, 'nor is it the next time')
})

test('a daemon that only takes longer is asked the next time', async t => {
  let answer = silent
  const { port, streamed } = await fake(t, {
    address: HOST,
    tcp: ({ id }, socket) => {
      const endpoint = { transport: 'tcp', version: '1.0.0', port: 4_181, instance: 'i' }
      answer = () => void socket.write(line({ id, endpoints: [{ ...endpoint, address: HOST }] }))
      if (streamed.length > 1) answer()
    },
  })
  const asking = new Asking(port, SILENCE)
  t.equal(await found(asking, HOST, 80), 'none')
  answer()
  while ((await found(asking, HOST, 80)) === 'none') await new Promise(setImmediate)
  t.ok(streamed.length > 1)
})

/** The answer to a program through a gateway that it has asked for a host and port by CONNECT. */
async function connected(gateway: Gateway, authority: string): Promise<string> {
  const socket = net.connect(gateway.port, '127.0.0.1').setEncoding('latin1')
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
  const [head] = (await once(socket, 'data')) as [string]
  if (!head.includes('200')) return head.slice(0, head.indexOf('\r'))
  const said = head.split('\r\n\r\n')[1] || ((await once(socket, 'data')) as [string])[0]
  socket.destroy()
  return said
}

/** The answer to a program through a gateway that is its proxy. */
async function proxied(gateway: Gateway, url: string): Promise<string> {
  const request = http.get({ port: gateway.port, host: '127.0.0.1', path: url, agent: false })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  return text(response)
}

async function gateway(t: Test, daemonPort: number, ask: boolean): Promise<Gateway> {
  const gateway = await Gateway.open({ port: 0, daemonPort, ask, silence: PATIENT })
  t.teardown(() => gateway.close())
  return gateway
}

test('a gateway asks only if it is told to', async t => {
  const there = await far(t)
  const server = net.createServer(socket => socket.end('by name'))
  await once(server.listen(0, there.host), 'listening')
  t.teardown(() => void server.close())
  await there.name('git', server)
  await stranger(t, socket => void socket.end('by port'), there.host, 9_418)
  const authority = `${there.host}:9418`
  t.equal(await connected(await gateway(t, there.port, true), authority), 'by name')
  t.equal(await connected(await gateway(t, there.port, false), authority), 'by port')
})

test('a proxy goes to the service http of a host, if it is told to ask', async t => {
  const there = await far(t)
  await there.web('http', ({ url, headers }, response) => response.end(`${headers.host}${url}`))
  const asking = await gateway(t, there.port, true)
  t.equal(await proxied(asking, `http://${there.host}/x?y`), `${there.host}/x?y`)
  await there.web('https', 'by name')
  t.not(await proxied(asking, `http://${there.host}:443/x`), 'by name', 'not for another port')
})

test('a service http that says that it is none is not gone to as a proxy', async t => {
  const there = await far(t)
  await there.web('http', 'by name', { metadata: { scheme: 'https' } })
  const asking = await gateway(t, there.port, true)
  t.not(await proxied(asking, `http://${there.host}/`), 'by name')
})
