import { test, type Test } from 'tap'
import { nobody } from '../fixtures/services.ts'
import { installed, packed } from './fixtures/folder.ts'

/** The tests of a user, as Jest runs them by default: CommonJS, without `import()`. */
const suite = `
const http = require('node:http')
const { once } = require('node:events')
const net = require('moniker-net')

async function whole(stream) {
  let text = ''
  for await (const chunk of stream) text += chunk
  return text
}

test('bytes go over a name', async () => {
  const server = net.createServer(socket => socket.end('bytes'))
  await once(server.listen('jest@1.0.0'), 'listening')
  expect(server.address().moniker).toBe('jest@1.0.0')
  expect(await whole(net.connect('jest@^1'))).toBe('bytes')
  await once(server.close(), 'close')
  await expect(once(net.connect('jest'), 'connect')).rejects.toMatchObject({ reason: 'ENOSERVICE' })
})

test('requests do, and fetch says what it needs', async () => {
  const web = net.listen(http.createServer((request, response) => response.end('page')), 'web')
  await once(web, 'listening')
  const response = await new Promise(resolve => net.get('web://localhost/', resolve))
  expect(await whole(response)).toBe('page')
  const missing = { code: 'ERR_MODULE_NOT_FOUND', reason: 'EMODULE' }
  await expect(net.fetch('web://localhost/')).rejects.toMatchObject(missing)
  await expect(net.fetch('web://localhost/')).rejects.toBeInstanceOf(net.MonikerError)
  web.close().closeAllConnections()
})

test('a test may replace timers and clocks', async () => {
  jest.useFakeTimers()
  try {
    const server = net.createServer(socket => socket.end('bytes'))
    await once(server.listen('faked'), 'listening')
    expect(await whole(net.connect('faked'))).toBe('bytes')
    await once(server.close(), 'close')
  } finally {
    jest.useRealTimers()
  }
})

test('so do the promises', async () => {
  const { connect, service } = require('moniker-net/promises')
  const greeter = await service('greeter')
  const client = await connect('greeter')
  await client.close()
  await greeter.close()
})

test('a thread becomes the daemon meanwhile', async () => {
  const server = net.createServer()
  await once(server.listen('patient'), 'listening')
  await once(server, 'registered')
  await once(server.close(), 'close')
})

test('the rest can be loaded', () => {
  expect(typeof require('moniker-net/daemon').Daemon).toBe('function')
  expect(typeof require('moniker-net/http').Agent).toBe('function')
  expect(typeof require('moniker-net/undici').connector).toBe('function')
})
`

/** Tests that are over while the daemon in their process has yet to move; then Jest lets them load nothing. */
const early = `
const net = require('moniker-net')
test('ends early', done => {
  const server = net.createServer()
  server.listen('early', () => server.close(done))
})
`

const late = `
const net = require('moniker-net')
const started = async () => (await new net.Resolver().status()).started
test('the daemon moves all the same', async () => {
  const before = await started()
  while ((await started().catch(() => before)) === before) await new Promise(setImmediate)
}, 60_000)
`

/** Runs one after the other, whatever Jest remembers of them. */
const sequencer = `
const { default: Sequencer } = require('@jest/test-sequencer')
module.exports = class extends Sequencer {
  sort = tests => [...tests].sort((a, b) => a.path.localeCompare(b.path))
}
`

test('Jest runs tests of programs that use the package', async t => {
  const { folder, options } = await installed(t, 'jest@30', await packed(t))
  await folder.write({
    'names/names.test.js': suite,
    'moves/early.test.js': early,
    'moves/late.test.js': late,
    'sequencer.js': sequencer,
  })
  const jest = async (t: Test, args: string[], env: NodeJS.ProcessEnv = {}) => {
    const command = ['node_modules/jest/bin/jest.js', ...args]
    const { status, stdout, stderr } = await folder.node(command, await nobody(), env)
    t.equal(status, 0, stdout + stderr)
    t.notMatch(stderr, /did not exit|open handle|torn down/)
    return stderr
  }

  for (const env of [{}, { DEBUG: 'moniker:*' }]) {
    await t.test(`with ${JSON.stringify(env)}`, options, async t => {
      const stderr = await jest(t, ['names'], env)
      t.match(stderr, 'Tests:       6 passed, 6 total')
      if (env.DEBUG) t.match(stderr, /moniker:registrar jest@1\.0\.0 is registered/)
    })
  }

  await t.test('which may be over early', options, async t => {
    const stderr = await jest(t, ['moves', '--runInBand', '--testSequencer=./sequencer.js'])
    t.match(stderr, 'Tests:       2 passed, 2 total')
  })
})
