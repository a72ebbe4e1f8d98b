// A web server that has a name, and a request that goes to it.
import http from 'node:http'
import { connect, listen } from '../index.ts'

const server = http.createServer((request, response) => {
  response.setHeader('content-type', 'text/plain').end(`You asked for ${request.url}\n`)
})

listen(server, 'web@1.0.0', () => {
  console.log('web is', server.address())
  http.get({ path: '/index.html', createConnection: () => connect('web@^1') }, response => {
    console.log('status', response.statusCode)
    response.pipe(process.stdout)
    response.on('end', () => server.close())
  })
})
