// A file copied through a pipe, by name, and its checksum compared: copy [FROM [TO]]
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { connect, createServer } from '../index.ts'

const folder = await mkdtemp(join(tmpdir(), 'moniker-'))
const [from = process.execPath, to = join(folder, 'copy')] = process.argv.slice(2)

async function checksum(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

const server = createServer(socket => {
  socket.pipe(createWriteStream(to)).on('close', () => server.close())
})
await once(server.listen('copy'), 'listening')
await pipeline(createReadStream(from), connect('copy'))
await once(server, 'close')

const [sent, received] = await Promise.all([checksum(from), checksum(to)])
await rm(folder, { recursive: true })
if (sent !== received) throw new Error(`sent ${sent}, but received ${received}`)
console.log(`copied ${from}, intact: sha256 ${sent}`)
