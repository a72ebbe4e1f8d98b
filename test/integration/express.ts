import { once } from 'node:events'
import http from 'node:http'
import { text } from 'node:stream/consumers'
import express from 'express'
import { test } from 'tap'
import { Agent } from '../../lib/adapters/http.ts'
import { listen } from '../../lib/sockets/server.ts'
import { home } from '../fixtures/home.ts'

test('an express application has a name', async t => {
  await home(t)
  const app = express()
  app.use(express.json())
  app.post('/films/:episode', (request, response) => {
    response.json({ ...(request.body as object), episode: request.params.episode })
  })
  const server = listen(http.createServer(app), 'films@1.0.0')
  await once(server, 'listening')

  const agent = new Agent({ service: 'films@^1' })
  const headers = { 'content-type': 'application/json' }
  const request = http.request('http://localhost/films/5', { method: 'POST', headers, agent })
  request.end(JSON.stringify({ title: 'The Empire Strikes Back' }))
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  t.same(JSON.parse(await text(response)), { title: 'The Empire Strikes Back', episode: '5' })
  await once(server.close(), 'close')
})
