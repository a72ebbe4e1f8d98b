// Listing 1 of "Decoupling Port and Protocol on the Internet": a server that chooses no port.
import { createServer } from '../index.ts'
import { SERVICE, VERSION, type SwRequest, type SwResponse } from './starwars.ts'

const script: Record<string, SwResponse> = {
  leia: { line: 'Help me, Obi-Wan Kenobi. You’re my only hope.', episode: 4 },
  vader: { line: 'I find your lack of faith disturbing.', episode: 4 },
  yoda: { line: 'Do. Or do not. There is no try.', episode: 5 },
}

const server = createServer(socket => {
  socket.setEncoding('utf8').once('data', data => {
    const sw_request = JSON.parse(String(data)) as SwRequest
    const sw_response = script[sw_request.character] ?? { line: '…', episode: 0 }
    socket.end(JSON.stringify(sw_response))
  })
})

server.listen(`${SERVICE}@${VERSION}`, () => {
  console.log(`${SERVICE} ${VERSION} is on stage`, server.address())
})
process.once('SIGTERM', () => server.close()).once('SIGINT', () => server.close())
