import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import tls from 'node:tls'
import { test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { listen } from '../../lib/sockets/server.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { home } from '../fixtures/home.ts'

const roads = {
  ws: {
    server: () => http.createServer(),
    dial: () => new WebSocket('ws://localhost/', { createConnection: () => connect('chat') }),
  },
  wss: {
    server: () => https.createServer({ key, cert }),
    dial: () =>
      new WebSocket('wss://localhost/', {
        createConnection: () =>
          tls.connect({ socket: connect('chat'), servername: 'localhost', ca: cert }),
      }),
  },
}

for (const [road, { server, dial }] of Object.entries(roads)) {
  test(`${road} goes over a name`, async t => {
    await home(t)
    const web: http.Server = listen(server(), 'chat')
    const sockets = new WebSocketServer({ server: web })
    sockets.on('connection', peer => peer.on('message', message => peer.send(message)))
    await once(web, 'listening')
    const client = dial()
    await once(client, 'open')
    for (const message of ['hello', 'x'.repeat(200_000)]) {
      client.send(message)
      const [answer] = (await once(client, 'message')) as [Buffer]
      t.equal(String(answer), message)
    }
    client.close()
    await once(client, 'close')
    sockets.close()
    await once(web.close(), 'close')
  })
}
