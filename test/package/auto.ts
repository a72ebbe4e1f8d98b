// The way of `--import moniker-net/auto`, as its user has it.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'tap'
import { Resolver, listen } from '../../index.ts'
import { home } from '../fixtures/home.ts'
import { Folder, installed, packed } from './fixtures/folder.ts'

/** A program that goes to a name and has one, and says if our package was loaded before it needed to be. */
const program = `
const isLoaded = () => Object.getOwnPropertySymbols(globalThis).some(symbol => 'index.ts' in Object(globalThis[symbol]))
async function main() {
  const early = isLoaded()
  const response = await fetch('http://web.localhost/')
  const text = await response.text()
  console.log(JSON.stringify({ early, text, late: isLoaded(), name: process.env.MONIKER_LISTEN }))
}
main()
`

test('any program goes to names', async t => {
  const { folder, options } = await installed(t, await packed(t))
  await t.test('once it is told to', options, async t => {
    const port = await home(t)
    const server = createServer((request, response) => response.end(request.headers.host))
    await once(listen(server, 'web'), 'listening')
    t.teardown(() => server.close())
    await folder.write({ 'app.mjs': program, 'app.cjs': program })
    const elsewhere = await Folder.empty(t)
    await elsewhere.write({ 'app.mjs': program })
    const file = join(folder.path, 'node_modules/moniker-net/dist/lib/gateways-hook.mjs')
    const ways: [Folder, string[], NodeJS.ProcessEnv][] = [
      [folder, ['--import', 'moniker-net/auto', 'app.mjs'], {}],
      [folder, ['--import', 'moniker-net/auto', 'app.cjs'], {}],
      [folder, ['--require', 'moniker-net/auto', 'app.mjs'], {}],
      [folder, ['--require', 'moniker-net/auto', '--import', 'moniker-net/auto', 'app.cjs'], {}],
      [elsewhere, [`--import=${pathToFileURL(file).href}`, 'app.mjs'], {}],
    ]
    for (const [where, args, env] of ways) {
      const { status, stdout, stderr } = await where.node(args, port, env)
      t.equal(status, 0, stderr)
      const told = { early: false, text: 'web.localhost', late: true }
      t.same(JSON.parse(stdout || 'null'), told, args.join(' '))
    }
  })
  await t.test('and its server has one', options, async t => {
    const port = await home(t)
    await folder.write({
      'server.cjs': `
const server = require('node:http').createServer((request, response) => {
  response.end('served', () => server.close().closeAllConnections())
}).listen(0)`,
    })
    const env = { MONIKER_LISTEN: 'app@1.2.0' }
    const ended = folder.node(['--import', 'moniker-net/auto', 'server.cjs'], port, env)
    const resolver = new Resolver({ port })
    const { endpoints } = await resolver.resolve('app@^1', { wait: 60_000 })
    const response = await fetch(`http://127.0.0.1:${endpoints[0]!.port}/`)
    t.equal(await response.text(), 'served')
    t.match(await ended, { status: 0, stdout: '', stderr: '' })
  })
})
