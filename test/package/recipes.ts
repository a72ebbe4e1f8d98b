// The programs in docs/ that need packages of others: each runs as its reader has it, and prints what it says.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { test } from 'tap'
import { home } from '../fixtures/home.ts'
import { installed, packed } from './fixtures/folder.ts'

const docs = new URL('../../docs/', import.meta.url)
const BLOCK = /^```mjs\n(.*?)^```$/gms

/** The packages that an import stands for, where they are more than that of its name. */
const PACKAGES: Record<string, readonly string[]> = {
  '@nestjs/core': ['@nestjs/core', '@nestjs/platform-express', 'reflect-metadata', 'rxjs'],
  'moniker-net': ['undici@7'],
  // Later ones need Node 22.
  testcontainers: ['testcontainers@11'],
}

/** A container for a machine that has no Docker: it answers as redis does to a PING. */
const container = `
import { once } from 'node:events'
import net from 'node:net'
export class GenericContainer {
  #server = net.createServer(socket => socket.once('data', () => socket.write('+PONG\\r\\n')))
  withExposedPorts() { return this }
  getMappedPort() { return this.#server.address().port }
  getHost() { return '127.0.0.1' }
  async start() { await once(this.#server.listen(0, '127.0.0.1'), 'listening'); return this }
  async stop() { await once(this.#server.close(), 'close') }
}
`

/** A program in docs/, and the heading that it stands under. */
interface Recipe {
  readonly title: string
  readonly code: string
}

const recipes: Recipe[] = readdirSync(docs)
  .filter(file => file.endsWith('.md'))
  .flatMap(file => {
    const text = readFileSync(new URL(file, docs), 'utf8')
    return [...text.matchAll(BLOCK)].map(({ 1: code = '', index }) => {
      const heading = text
        .slice(0, index)
        .match(/^## .*$/gm)!
        .at(-1)
      return { title: `"${heading}" of ${file}`, code }
    })
  })

/** The packages that a program needs beside ours. */
function packages(code: string): readonly string[] {
  const imported = [...code.matchAll(/ from '([^']+)'$/gm)].map(([, name = '']) => name)
  const others = imported.filter(name => !isBuiltin(name) && !name.startsWith('moniker-net/'))
  return others.flatMap(name => PACKAGES[name] ?? [name])
}

/** The lines that a program says it prints, in comments behind its calls. */
function printed(code: string): string {
  const lines = [...code.matchAll(/^ *console\.log\(.*\) \/\/ (.*)$/gm)]
  return lines.map(([, line]) => `${line}\n`).join('')
}

function hasDocker(): boolean {
  try {
    execFileSync('docker', ['info'], { stdio: 'ignore', timeout: 10_000 })
    return true
  } catch {
    return false
  }
}

test('each recipe for a library runs', async t => {
  t.ok(recipes.length > 3, 'there are recipes')
  const tarball = await packed(t)
  const needed = new Set(recipes.flatMap(({ code }) => packages(code)))
  const { folder, options } = await installed(t, tarball, ...needed)
  await folder.write({ 'container.mjs': container })
  for (const { title, code } of recipes) {
    await t.test(title, options, async t => {
      const isReal = !code.includes("'testcontainers'") || hasDocker()
      const program = isReal ? code : code.replace("'testcontainers'", "'./container.mjs'")
      await folder.write({ 'app.mjs': program })
      const { status, stdout, stderr } = await folder.node(['app.mjs'], await home(t))
      t.equal(status, 0, stderr)
      t.equal(stdout, printed(code))
      t.not(stdout, '')
    })
  }
})
