import { test } from 'tap'
import { nobody } from '../fixtures/services.ts'
import { installed, packed } from './fixtures/folder.ts'

/** The same program as a module, and as CommonJS. */
function programs(body: string, ...names: string[]): Record<string, string> {
  const imports = names.map(name => `import ${aliasOf(name)} from '${name}'\n`)
  const requires = names.map(name => `const ${aliasOf(name)} = require('${name}')\n`)
  return { 'app.mjs': imports.join('') + body, 'app.cjs': requires.join('') + body }
}

function aliasOf(name: string): string {
  return name === 'moniker-net' ? 'net' : name
}

const shortly = `
net.connect('nobody').on('error', () => console.log('refused'))
`

const hasty = `
net.createServer().listen('hasty', () => process.exit())
`

const switched = `
const lines = []
debug.log = (...args) => lines.push(process.getBuiltinModule('node:util').format(...args))
const server = net.createServer()
server.listen('quiet', () => {
  if (lines.length) throw new Error('lines: ' + lines)
  debug.enable('moniker:registrar')
  server.close(() => server.listen('heard', () => {
    const since = setInterval(() => {
      if (!lines.some(line => line.includes('heard@0.0.0 is registered'))) return
      clearInterval(since)
      debug.disable()
      const { length } = lines
      server.close(() => console.log(lines.length === length ? 'switched' : lines))
    }, 10)
  }))
})
`

test('diagnostics', async t => {
  const { folder, options } = await installed(t, await packed(t))
  for (const file of ['app.mjs', 'app.cjs']) {
    const run = async (files: Record<string, string>, env = {}) => {
      await folder.write(files)
      return folder.node([file], await nobody(), env)
    }
    const short = programs(shortly, 'moniker-net')

    await t.test(`DEBUG switches them on for a short program: ${file}`, options, async t => {
      const { status, stdout, stderr } = await run(short, { DEBUG: 'moniker:*' })
      t.equal(status, 0, stderr)
      t.equal(stdout, 'refused\n')
      t.match(stderr, /moniker:\w+ .*nobody/)
      const exited = await run(programs(hasty, 'moniker-net'), { DEBUG: 'moniker:*' })
      t.match(exited.stderr, /moniker:registrar hasty@0\.0\.0 is registered/)
      t.match(await run(short), { status: 0, stdout: 'refused\n', stderr: '' })
      t.match(await run(short, { DEBUG: 'other' }), { status: 0, stdout: 'refused\n', stderr: '' })
    })

    await t.test(`so does debug.enable, while the program runs: ${file}`, options, async t => {
      const { status, stdout, stderr } = await run(programs(switched, 'moniker-net', 'debug'))
      t.equal(status, 0, stderr)
      t.equal(stdout, 'switched\n')
    })

    await t.test(
      `without the package there are none, and all else works: ${file}`,
      options,
      async t => {
        await folder.without('node_modules/debug', async () => {
          const expected = { status: 0, stdout: 'refused\n', stderr: '' }
          t.match(await run(short, { DEBUG: 'moniker:*' }), expected)
          await folder.write({ 'node_modules/debug/index.js': 'throw new Error("broken")' })
          t.match(await run(short, { DEBUG: 'moniker:*' }), expected)
          await folder.write({ 'node_modules/debug/index.js': 'module.exports = {}' })
          t.match(await run(short, { DEBUG: 'moniker:*' }), expected)
          await folder.remove('node_modules/debug')
        })
      },
    )
  }
})
