// Test files that run at the same time, and all want one name: the line of the guide keeps them apart.
import { readFile } from 'node:fs/promises'
import { test } from 'tap'
import { watch } from '../../index.ts'
import { home } from '../fixtures/home.ts'
import { named } from '../fixtures/services.ts'
import { installed, packed } from './fixtures/folder.ts'

const FILES = 3

/** The part of a test that is alike whatever runs it. It leaves its name when all files have had theirs at the same time. */
const body = `
  const server = createServer(socket => socket.end(id)).listen('web')
  await once(server, 'listening')
  await once(connect({ service: 'all-there', wait: 60_000 }).resume(), 'end')
  // Files that shared the name would be found in turn.
  for (let turn = 0; turn < ${FILES}; turn++) {
    let said = ''
    for await (const chunk of connect('web')) said += chunk
    if (said !== id) throw new Error('this is ' + said)
  }
  await once(server.close(), 'close')
`

const module = (imports: string) => `
${imports}
import { once } from 'node:events'
import { connect, createServer } from 'moniker-net'
const id = import.meta.url
test('a name', { timeout: 80_000 }, async () => {${body}})
`

const common = `
const { once } = require('node:events')
const { connect, createServer } = require('moniker-net')
const id = __filename
test('a name', async () => {${body}}, 80_000)
`

const node = module("import './names.mjs'\nimport { test } from 'node:test'")
const vitest = module("import { test } from 'vitest'")

const vitestArgs = ['node_modules/vitest/vitest.mjs', 'run', '--dir=vitest', '--maxWorkers=3']
/** A cache of its own for each run: Jest runs files one after the other if it knows that they were fast. */
const jestArgs = (cache: string) => [
  'node_modules/jest/bin/jest.js',
  '--rootDir=jest',
  '--maxWorkers=3',
  '--setupFiles=../names.cjs',
  `--cacheDirectory=../${cache}`,
]
const runners: Record<string, string[]> = {
  'node --test': ['--test', `--test-concurrency=${FILES}`, ...files('node', 'mjs')],
  'vitest, processes': [...vitestArgs, '--pool=forks'],
  'vitest, threads': [...vitestArgs, '--pool=threads'],
  'Jest, processes': jestArgs('cache-processes'),
  'Jest, threads': [...jestArgs('cache-threads'), '--workerThreads'],
}

function files(folder: string, extension: string): string[] {
  return Array.from({ length: FILES }, (_, index) => `${folder}/${index}.test.${extension}`)
}

/** Settled when as many names of a service as there are files are up at one time. */
async function all(service: string): Promise<void> {
  const watched = watch()
  for await (const _ of watched) {
    const up = watched.services.filter(one => one.service === service)
    if (up.length === FILES) break
  }
}

test('test files that run in parallel have names of their own', async t => {
  const guide = await readFile(new URL('../../docs/guide.md', import.meta.url), 'utf8')
  const [line = ''] = /^process\.env\.MONIKER_NAMESPACE = `.*$/m.exec(guide)!
  const { folder, options } = await installed(t, await packed(t), 'vitest@4', 'jest@30')
  const written = [
    ...files('node', 'mjs').map(file => [file, node.replace('./names', '../names')]),
    ...files('vitest', 'mjs').map(file => [file, vitest]),
    ...files('jest', 'js').map(file => [file, common]),
    ['names.mjs', line],
    ['names.cjs', line],
    ['vitest.config.mjs', "export default { test: { setupFiles: ['./names.mjs'] } }"],
  ]
  await folder.write(Object.fromEntries(written) as Record<string, string>)
  for (const [runner, args] of Object.entries(runners)) {
    await t.test(runner, options, async t => {
      const port = await home(t)
      const ended = folder.node(args, port)
      await Promise.race([all('web'), ended])
      await named(t, { service: 'all-there', shared: true }, socket => socket.end())
      const { status, stdout, stderr } = await ended
      t.equal(status, 0, stdout + stderr)
    })
  }
})
