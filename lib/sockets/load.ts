import type { Server, Socket } from 'node:net'

/** How often a number is told at most, in ms. */
const PAUSE = 100

/** Tells `report` how many connections `server` has when that changes from none, until what is returned is called. */
export function counting(server: Server, report: (count: number) => void, ms = PAUSE): () => void {
  let count = 0
  let told = 0
  let timer: NodeJS.Timeout | undefined
  const tell = () => {
    timer = undefined
    if (count === told) return
    told = count
    report(count)
    timer = setTimeout(tell, ms).unref()
  }
  const changed = (by: number) => {
    count += by
    if (!timer) tell()
  }
  const connected = (socket: Socket) => {
    changed(1)
    socket.once('close', () => changed(-1))
  }
  server.on('connection', connected)
  return () => {
    clearTimeout(timer)
    server.off('connection', connected)
  }
}
