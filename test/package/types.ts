import { test } from 'tap'
import { installed, packed } from './fixtures/folder.ts'

/** The compilers, and the modules that each is tried with: the older one is slow. */
const COMPILERS = { typescript: ['node16'], 'typescript-7': ['node16', 'node20', 'nodenext'] }

/** A program that compiles both as a module and as CommonJS, and with every option that finds faults. */
const program = `
import moniker, { connect, createServer, createSocket, fetch, watch, type Name } from 'moniker-net'
import { Daemon } from 'moniker-net/daemon'
import { Agent } from 'moniker-net/http'
import { service } from 'moniker-net/promises'
import { connector } from 'moniker-net/undici'
import * as net from 'node:net'

const server = createServer(peer => peer.end()).listen('echo@1.0.0', () => {
  const address = server.address()
  if (address && typeof address === 'object') {
    const { port, moniker = '' }: { port: number; moniker?: string } = address
    console.log(port.toFixed(), moniker.length)
  }
})
const plain: net.Server = server
const socket = connect('echo@^1')
const other: net.Socket = socket
socket
  .on('resolve', ({ port }) => port.toFixed())
  .on('error', ({ code, reason }) => [code?.length, reason?.length])
  .once('close', isHard => isHard === true)
  .on('data', data => data.readUInt8())
  .on('something else', (one: string) => one)
  .on('ready', () => socket.moniker?.version.length)
const name: Name = moniker.parse('echo@^1')
const agent: Agent = new Agent({ service: 'web', keepAlive: true })
const own: number = createSocket('udp4').bind('clock').address().port
watch('echo').on('up', ({ port }) => port.toFixed())
void fetch('web://', { method: 'POST' }).then(page => page.text())
export const all: unknown[] = [plain, other, name, agent, own, Daemon, service, connector]
`

const options = {
  noEmit: true,
  target: 'es2022',
  types: ['node'],
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
}

test('the types compile', async t => {
  const tarball = await packed(t)
  for (const node of [20, 26]) {
    const packages = [`@types/node@${node}`, 'typescript@5.9', 'typescript-7@npm:typescript@7']
    const { folder, options: given } = await installed(t, ...packages, tarball)
    await folder.write({ 'app.cts': program, 'app.mts': program })
    for (const [compiler, modules] of Object.entries(COMPILERS)) {
      await t.test(`${compiler}, @types/node ${node}`, given, async t => {
        for (const module of modules) {
          const compilerOptions = JSON.stringify({ ...options, module })
          const files = '["app.cts", "app.mts"]'
          await folder.write({
            'tsconfig.json': `{ "compilerOptions": ${compilerOptions}, "files": ${files} }`,
          })
          const { status, stdout } = await folder.node([`node_modules/${compiler}/bin/tsc`])
          t.equal(status, 0, `${module} ${stdout}`)
        }
      })
    }
  }
})
