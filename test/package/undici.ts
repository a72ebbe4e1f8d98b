// The recipe for `fetch` in the README, as its reader has it.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { test } from 'tap'
import { listen } from '../../index.ts'
import { home } from '../fixtures/home.ts'
import { Folder, installed, packed } from './fixtures/folder.ts'

const BLOCK = /^```ts\n((?:(?!```).)*moniker-net\/undici.*?)^```$/ms

const compilerOptions = {
  noEmit: true,
  target: 'es2022',
  module: 'nodenext',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
}

test('the recipe compiles with the default lib, and runs', async t => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const [, recipe = ''] = BLOCK.exec(readme)!
  const tarball = await packed(t)
  const packages = ['undici@7', '@types/node@20', 'typescript@7', tarball]
  const { folder, options } = await installed(t, ...packages)
  await t.test('in a project of its reader', options, async t => {
    const config = JSON.stringify({ compilerOptions, files: ['app.mts'] })
    await folder.write({ 'app.mts': recipe, 'app.mjs': recipe, 'tsconfig.json': config })
    const compiled = await folder.node(['node_modules/typescript/bin/tsc'])
    t.equal(compiled.status, 0, compiled.stdout)

    const port = await home(t)
    const server = createServer((_request, response) => response.end('hello'))
    await once(listen(server, 'web'), 'listening')
    t.teardown(() => server.close())
    const { status, stdout, stderr } = await folder.node(['app.mjs'], port)
    t.equal(status, 0, stderr)
    t.equal(stdout, 'hello\n')
  })
  await t.test('npm refuses a version that does not load on every Node', options, async t => {
    const other = await Folder.empty(t)
    await other.write({ 'package.json': '{ "private": true }' })
    const { status, stderr } = await other.npm('install', '--ignore-scripts', 'undici@8', tarball)
    t.not(status, 0)
    t.match(stderr, /ERESOLVE/)
  })
})
