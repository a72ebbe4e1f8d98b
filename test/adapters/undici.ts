import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { test, type Test } from 'tap'
import { Agent, fetch } from 'undici'
import { connector } from '../../lib/adapters/undici.ts'
import { listen } from '../../lib/sockets/server.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { home } from '../fixtures/home.ts'
import { stranger } from '../fixtures/services.ts'
import { Registrar } from '../../lib/registration/registrar.ts'

/** A server that says how many connections it has had, and what it was sent. */
async function web(t: Test, secure = false): Promise<void> {
  let connections = 0
  const serve: http.RequestListener = (request, response) => {
    response.write(`${connections} `)
    request.pipe(response)
  }
  const server = secure ? https.createServer({ key, cert }, serve) : http.createServer(serve)
  server.on(secure ? 'secureConnection' : 'connection', () => connections++)
  await once(listen(server as http.Server, 'web'), 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
}

test('fetch goes to a service, over a connection that is kept', async t => {
  await home(t)
  await web(t)
  const dispatcher = new Agent({ connections: 1, connect: connector({ service: 'web' }) })
  t.teardown(() => dispatcher.close())
  for (const body of ['one', 'two']) {
    const response = await fetch('http://localhost/', { method: 'POST', body, dispatcher })
    t.equal(await response.text(), `1 ${body}`)
  }
})

test('a program has the answer of a name in three lines', async t => {
  await home(t)
  await web(t)
  const log = t.capture(console, 'log')
  const dispatcher = new Agent({ connect: connector({ service: 'web' }) })
  const response = await fetch('http://localhost/', { dispatcher })
  console.log(await response.text())
  t.same(log.args(), [['1 ']])
  const global = await globalThis.fetch('http://localhost/', { dispatcher } as object)
  t.match(await global.text(), /^\d $/, 'the fetch of Node takes the dispatcher too')
  await dispatcher.close()
})

test('TLS goes over a name, for the host of the URL', async t => {
  await home(t)
  await web(t, true)
  for (const url of ['https://localhost/', 'https://127.0.0.1/']) {
    const dispatcher = new Agent({ connect: connector({ service: 'web', tls: { ca: cert } }) })
    const response = await fetch(url, { dispatcher })
    t.match(await response.text(), /^\d $/)
    await dispatcher.close()
  }
})

test('a service that is not there, or stays silent, is an error of the request', async t => {
  const daemonPort = await home(t)
  const dispatcher = new Agent({ connect: connector({ service: 'web' }) })
  await t.rejects(fetch('http://localhost/', { dispatcher }), {
    cause: { code: 'ECONNREFUSED', service: 'web' },
  } as never)

  const port = await stranger(t)
  const silent = {
    namespace: '',
    service: 'web',
    version: '0.0.0',
    transport: 'tcp',
    shared: false,
  } as const
  const lease = await Registrar.at(daemonPort).register({ ...silent, port, address: '127.0.0.1' })
  const late = new Agent({ connect: connector({ service: 'web', timeout: 50 }) })
  await t.rejects(fetch('https://localhost/', { dispatcher: late }), {
    cause: { code: 'ETIMEDOUT', service: 'web' },
  } as never)
  await lease.withdraw()
  await Promise.all([dispatcher.destroy(), late.destroy()])
})
