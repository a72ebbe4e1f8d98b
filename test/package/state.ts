import { test } from 'tap'
import { nobody } from '../fixtures/services.ts'
import { installed, packed } from './fixtures/folder.ts'

type Ways = readonly ['import' | 'require', 'import' | 'require']

const WAYS: readonly Ways[] = [
  ['import', 'require'],
  ['require', 'import'],
]

/** The program loads both builds, one first, and says in which exports they differ, and what each made of the other. */
const program = ([first, second]: Ways) => `
import { once } from 'node:events'
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
const load = { import: name => import(name), require: async name => require(name) }

const names = ['', '/promises', '/daemon', '/http', '/undici']
const loaded = {}
for (const way of ['${first}', '${second}']) {
  for (const name of names) loaded[way + name] = await load[way]('moniker-net' + name)
}
const differing = []
for (const name of names) {
  const [one, other] = [loaded['import' + name], loaded['require' + name]]
  const all = new Set([...Object.keys(one), ...Object.keys(other)])
  for (const word of all) if (one[word] !== other[word]) differing.push(name + ' ' + word)
}

const [esm, cjs] = [loaded.import, loaded.require]
const server = esm.createServer(socket => socket.end('bytes'))
await once(server.listen('esm'), 'listening')
const other = new cjs.MonikerServer(socket => socket.end('bytes'))
await once(other.listen('cjs'), 'listening')
const daemon = await new esm.Resolver().status()
const socket = cjs.connect('esm')
let text = ''
for await (const chunk of socket) text += chunk
const [error] = await once(esm.connect('nobody'), 'error').catch(error => [error])
const isInstance = [
  server instanceof cjs.MonikerServer,
  other instanceof esm.MonikerServer,
  socket instanceof esm.MonikerSocket,
  error instanceof cjs.MonikerError,
]
const { names: held, embedded, open } = daemon
console.log(JSON.stringify({ differing, text, isInstance, held, embedded, open, isOurs: daemon.pid === process.pid }))
process.exit()
`

test('both builds are one in a process', async t => {
  const { folder, options } = await installed(t, await packed(t))
  for (const ways of WAYS) {
    await t.test(ways.join(' and then '), options, async t => {
      await folder.write({ 'both.mjs': program(ways) })
      const { status, stdout, stderr } = await folder.node(['both.mjs'], await nobody())
      t.equal(status, 0, stderr)
      t.strictSame(JSON.parse(stdout || 'null'), {
        differing: [],
        text: 'bytes',
        isInstance: [true, true, true, true],
        held: 2,
        embedded: true,
        // The one registrar's connection, and that of the question.
        open: 2,
        isOurs: true,
      })
    })
  }
})
