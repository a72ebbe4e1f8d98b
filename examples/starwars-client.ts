// Listing 1 of "Decoupling Port and Protocol on the Internet": a client that knows no port.
// With --udp the same over datagrams.
import { parseArgs } from 'node:util'
import { connect } from '../lib/promises.ts'
import { REQUEST, RESPONSE, SERVICE, pack, unpack, type SwResponse } from './starwars.ts'

const { values, positionals } = parseArgs({
  options: { udp: { type: 'boolean' } },
  allowPositionals: true,
})
const [character = 'yoda', host = 'localhost'] = positionals

const peer = await connect(`${SERVICE}@^1`, host, { transport: values.udp ? 'udp' : 'tcp' })
await peer.send(pack(character, REQUEST))
const sw_response = JSON.parse(unpack(await peer.receive(RESPONSE))) as SwResponse
await peer.close()

console.log(`${character}, episode ${sw_response.episode}: ${sw_response.line}`)
