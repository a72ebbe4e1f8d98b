import { test } from 'tap'
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

test('so do the promises', async () => {
  const { connect, service } = require('moniker-net/promises')
  const greeter = await service('greeter')
  const client = await connect('greeter')
  await client.close()
  await greeter.close()
})

test('the rest can be loaded', () => {
  expect(typeof require('moniker-net/daemon').Daemon).toBe('function')
  expect(typeof require('moniker-net/http').Agent).toBe('function')
  expect(typeof require('moniker-net/undici').connector).toBe('function')
})
`

test('Jest runs tests of programs that use the package', async t => {
  const { folder, options } = await installed(t, 'jest@30', await packed(t))
  await folder.write({ 'names.test.js': suite })
  for (const env of [{}, { DEBUG: 'moniker:*' }]) {
    await t.test(`with ${JSON.stringify(env)}`, options, async t => {
      const jest = ['node_modules/jest/bin/jest.js']
      const { status, stdout, stderr } = await folder.node(jest, await nobody(), env)
      t.equal(status, 0, stdout + stderr)
      t.match(stderr, 'Tests:       4 passed, 4 total')
      t.notMatch(stderr, /did not exit|open handle|torn down/)
      if (env.DEBUG) t.match(stderr, /moniker:lease jest@1\.0\.0 is registered/)
    })
  }
})
