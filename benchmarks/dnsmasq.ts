import { Resolver } from 'node:dns/promises'
import { freePort, patiently, program } from './program.ts'
import type { Volley } from './volley.ts'

const NAME = '_bench._tcp.test'
const PORT = 4_567
const QUESTIONS = 1_000

/** A name server that knows one SRV record. */
export interface Dnsmasq {
  pid: number
  volley: Volley
  /** Asks for the record with a resolver of its own, and checks it. */
  ask: () => Promise<void>
  stop: () => Promise<void>
}

/** A `dnsmasq` of our own, which asks nobody else; or why there is none. */
export async function dnsmasq(): Promise<Dnsmasq | string> {
  const port = await freePort()
  const options = [
    '--keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --pid-file=',
    `--listen-address=127.0.0.1 --bind-interfaces --port=${port}`,
    `--srv-host=${NAME},host.test,${PORT} --host-record=host.test,127.0.0.1`,
  ]
  const started = await program('dnsmasq', options.join(' ').split(' '), 'dnsmasq-base')
  if (typeof started === 'string') return started
  try {
    const socket = await patiently(port, started)
    socket.destroy()
  } catch {
    return 'dnsmasq does not start here'
  }
  const ask = async () => {
    const resolver = new Resolver()
    resolver.setServers([`127.0.0.1:${port}`])
    const [record] = await resolver.resolveSrv(NAME)
    if (record?.port !== PORT) throw new Error(`dnsmasq said ${JSON.stringify(record)}`)
  }
  const { pid, stop } = started
  return { pid, volley: volley(port), ask, stop }
}

function volley(port: number): Volley {
  return {
    port,
    questions: Array.from({ length: QUESTIONS }, (_, id) => question(id)),
    slot: answer => answer.readUInt16BE(0),
    check: answer => {
      // One answer, with neither priority nor weight: 0, 0, the port, and where that is.
      const found = answer.indexOf(Buffer.from([0, 0, 0, 0, PORT >> 8, PORT & 0xff]))
      if (answer.readUInt16BE(6) !== 1 || found === -1) {
        throw new Error(`dnsmasq said ${answer.toString('hex')}`)
      }
    },
  }
}

/** A question for SRV (33) in the class of the Internet. */
function question(id: number): Buffer {
  const header = Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
  header.writeUInt16BE(id)
  const labels = NAME.split('.').map(label => String.fromCharCode(label.length) + label)
  return Buffer.concat([header, Buffer.from(labels.join('')), Buffer.from([0, 0, 33, 0, 1])])
}
