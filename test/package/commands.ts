import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { version } from '../../lib/commands/version.ts'
import { nobody } from '../fixtures/services.ts'
import { installed, packed } from './fixtures/folder.ts'

/** A program that is the daemon of its host until a thread of it is; it says which of them answers. */
const settled = `
const server = net.createServer()
const started = async () => (await new net.Resolver().status()).started
server.listen('settled', async () => {
  const before = await started()
  process.once('worker', () => console.log('a thread'))
  server.once('registered', async () => {
    const { embedded, pid, names } = await new net.Resolver().status()
    console.log(embedded, pid === process.pid, names, (await started()) > before)
    server.close()
  })
})
`

test('the commands of the package', async t => {
  const { folder, options } = await installed(t, await packed(t))
  const cli = 'node_modules/moniker-net/dist/lib/cli.js'
  const said = { status: 0, stdout: `${version}\n`, stderr: '' }

  await t.test('are JavaScript that Node runs', options, async t => {
    t.same(await folder.node([cli, '--version']), said)
    const port = await nobody()
    const program = ['node', '-p', 'process.env.PORT > 0']
    const run = await folder.node([cli, 'run', 'tie', '--', ...program], port)
    t.match(run, { status: 0, stdout: 'true\n' })
    t.match(await folder.node([cli, 'resolve', 'tie'], port), { status: 1, stderr: /ECONNREFUSED/ })
  })

  await t.test('are found by npx', options, async t => {
    for (const command of ['moniker', 'moniker-net', 'monikerd']) {
      t.same(await folder.npm('exec', '--offline', '--', command, '--version'), said, command)
    }
  })

  await t.test('have their manuals beside them', options, async t => {
    for (const page of ['moniker.1', 'monikerd.8']) {
      await t.resolves(access(join(folder.path, 'node_modules/moniker-net/man', page)))
    }
  })

  for (const [file, header] of Object.entries({
    'settled.mjs': `import net from 'moniker-net'`,
    'settled.cjs': `const net = require('moniker-net')`,
  })) {
    await t.test(`a thread becomes the daemon of ${file}`, options, async t => {
      await folder.write({ [file]: `${header}\n${settled}` })
      const { status, stdout, stderr } = await folder.node([file], await nobody())
      t.equal(status, 0, stderr)
      t.equal(stdout, 'a thread\ntrue true 1 true\n')
    })
  }
})
