import { once } from 'node:events'
import net from 'node:net'
import { freePort, patiently, program, type Program } from './program.ts'

const PORT = 4_567

/** Erlang's port mapper, which knows one name; it answers one question a connection. */
export interface Epmd {
  pid: number
  /** Asks for the name, and checks the answer. */
  ask: () => Promise<void>
  stop: () => Promise<void>
}

/** An `epmd` of our own; or why there is none. */
export async function epmd(): Promise<Epmd | string> {
  const port = await freePort()
  const started = await program(
    'epmd',
    ['-port', String(port), '-address', '127.0.0.1'],
    'erlang-base',
  )
  if (typeof started === 'string') return started
  const node = await register(port, started)
  const name = Buffer.from('zbench')
  // PORT_PLEASE2_REQ: the length of the rest, 'z', the name; answered by 119, 0 and the port.
  const question = Buffer.concat([Buffer.from([0, name.length]), name])
  const ask = async () => {
    const socket = net.connect(port, '127.0.0.1')
    socket.write(question)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    if (answer[0] !== 119 || answer[1] !== 0 || answer.readUInt16BE(2) !== PORT) {
      throw new Error(`epmd said ${answer.toString('hex')}`)
    }
    socket.destroy()
  }
  const stop = async () => {
    node.destroy()
    await started.stop()
  }
  return { pid: started.pid, ask, stop }
}

/** Registers the node `bench`, which lives as long as this connection. */
async function register(port: number, epmd: Program): Promise<net.Socket> {
  const name = Buffer.from('bench')
  // ALIVE2_REQ: 'x', port, hidden node, TCP, versions 6 to 5, the name, nothing extra.
  const fields = Buffer.from([120, 0, 0, 77, 0, 0, 6, 0, 5, 0, name.length])
  fields.writeUInt16BE(PORT, 1)
  const body = Buffer.concat([fields, name, Buffer.from([0, 0])])
  const socket = await patiently(port, epmd)
  socket.write(Buffer.concat([Buffer.from([0, body.length]), body]))
  await once(socket, 'data')
  return socket
}
