// Listing 2 of "Decoupling Port and Protocol on the Internet": a server that chooses no port.
// With --udp the same over datagrams.
import { service, type Connection } from '../lib/promises.ts'
import { REQUEST, RESPONSE, SERVICE, VERSION, pack, unpack, type SwResponse } from './starwars.ts'

const script: Record<string, SwResponse> = {
  leia: { episode: 4, line: 'Help me, Obi-Wan Kenobi. You are my only hope.' },
  vader: { episode: 4, line: 'I find your lack of faith disturbing.' },
  yoda: { episode: 5, line: 'Do. Or do not. There is no try.' },
}

/** Milliseconds that a peer has for its request. */
const PATIENCE = 10_000

async function serve(peer: Connection): Promise<void> {
  try {
    const signal = AbortSignal.timeout(PATIENCE)
    const sw_request = unpack(await peer.receive(REQUEST, { signal }))
    const sw_response = script[sw_request] ?? { episode: 0, line: '…' }
    await peer.send(pack(JSON.stringify(sw_response), RESPONSE))
  } finally {
    await peer.close()
  }
}

const transport = process.argv.includes('--udp') ? 'udp' : 'tcp'
const stage = await service(`${SERVICE}@${VERSION}`, { transport })
console.log(`${SERVICE} ${VERSION} is on stage`, stage.address)
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stage.close())

// The paper forks for each peer: none waits for another.
for await (const peer of stage) {
  serve(peer).catch((error: Error) => console.error(error.message))
}
