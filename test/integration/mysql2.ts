import type { Server } from 'node:net'
import { once } from 'node:events'
import mysql from 'mysql2'
import { test } from 'tap'
import { listen } from '../../lib/sockets/server.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { home } from '../fixtures/home.ts'

/** The members of a server of mysql2 that its types leave out. */
interface Peer {
  sequenceId: number
  serverHandshake(options: object): void
  on(event: 'query', listener: (sql: string) => void): this
  on(event: 'error', listener: () => void): this
  writeTextResult(rows: object[], columns: object[]): void
}

test('mysql2 talks to a server over a name', async t => {
  await home(t)
  const server = mysql.createServer(() => {}) as unknown as NodeJS.EventEmitter & {
    _server: Server
  }
  server.on('connection', (peer: Peer) => {
    const version = { protocolVersion: 10, serverVersion: '8.0.0', connectionId: 1 }
    peer.serverHandshake({ ...version, statusFlags: 2, characterSet: 8, capabilityFlags: 0xffffff })
    peer.on('error', () => {})
    peer.on('query', sql => {
      // Each question begins a sequence.
      peer.sequenceId = 1
      const column = {
        catalog: 'def',
        schema: '',
        table: '',
        orgTable: '',
        name: 'asked',
        orgName: '',
      }
      const type = { characterSet: 33, columnLength: 384, columnType: 253, flags: 0, decimals: 0 }
      peer.writeTextResult([{ asked: sql }], [{ ...column, ...type }])
    })
  })
  await once(listen(server._server, 'db'), 'listening')

  const db = mysql.createConnection({ user: 'root', stream: () => connect('db') }).promise()
  for (const sql of ['select 1', `select '${'x'.repeat(20_000)}'`]) {
    const [rows] = await db.query(sql)
    t.same(rows, [{ asked: sql }])
  }
  db.destroy()
  await once(server._server.close(), 'close')

  const lost = mysql.createConnection({ stream: () => connect('nobody') })
  const [error] = (await once(lost, 'error')) as [Error]
  t.match(error, { code: 'ECONNREFUSED', service: 'nobody' })
})
