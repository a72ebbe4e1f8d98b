import { once } from 'node:events'
import http2 from 'node:http2'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { test } from 'tap'
import { listen } from '../../lib/sockets/server.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { home } from '../fixtures/home.ts'

const roads = {
  plain: {
    server: () => http2.createServer(),
    dial: () => http2.connect('http://localhost', { createConnection: () => connect('web') }),
  },
  secure: {
    server: () => http2.createSecureServer({ key, cert }),
    dial: () =>
      http2.connect('https://localhost', {
        createConnection: () =>
          tls.connect({
            socket: connect('web'),
            servername: 'localhost',
            ca: cert,
            ALPNProtocols: ['h2'],
          }),
      }),
  },
}

for (const [road, { server, dial }] of Object.entries(roads)) {
  test(`http2 goes over a name, ${road}`, async t => {
    await home(t)
    const web = listen(server(), 'web')
    web.on('stream', (stream: http2.ServerHttp2Stream) => {
      stream.respond({ ':status': 200 })
      stream.pipe(stream)
    })
    await once(web, 'listening')
    const session = dial()
    const bodies = ['one', 'two', 'x'.repeat(200_000)]
    const answers = bodies.map(body => text(session.request({ ':method': 'POST' }).end(body)))
    t.same(await Promise.all(answers), bodies)
    await new Promise<void>(resolve => session.close(resolve))
    await once(web.close(), 'close')
  })
}

test('a service that is not there is an error of the session', async t => {
  await home(t)
  const session = http2.connect('http://localhost', { createConnection: () => connect('web') })
  await t.rejects(once(session, 'connect'), { code: 'ECONNREFUSED', service: 'web' })
})
