// Listing 2 of "Decoupling Port and Protocol on the Internet": a client that knows no port.
import { text } from 'node:stream/consumers'
import { connect } from '../index.ts'
import { SERVICE, type SwRequest, type SwResponse } from './starwars.ts'

const [character = 'yoda', host = 'localhost'] = process.argv.slice(2)

const socket = connect(`${SERVICE}@^1://${host}`)
const sw_request: SwRequest = { character }
socket.write(JSON.stringify(sw_request))
const sw_response = JSON.parse(await text(socket)) as SwResponse
console.log(`${character}, episode ${sw_response.episode}: ${sw_response.line}`)
