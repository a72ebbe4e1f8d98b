import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { sweep } from '../../lib/node/sweep.ts'

const later = () => Date.now() + 120_000

/** A folder whose path is short, as that of a socket is to be. */
function short(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'moniker-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A socket that nobody listens to. */
async function left(path: string): Promise<void> {
  const server = createServer()
  await once(server.listen(`${path}-`), 'listening')
  renameSync(`${path}-`, path)
  await new Promise(resolve => server.close(resolve))
}

t.test('what a killed program has left is removed, and nothing else', async t => {
  const folder = short(t)
  const at = (name: string) => join(folder, name)
  const server = createServer()
  t.teardown(() => server.close())
  await once(server.listen(at('live')), 'listening')
  await left(at('dead'))
  writeFileSync(at('file'), '')
  mkdirSync(at('folder'))
  symlinkSync('dead', at('link'))
  execFileSync('mkfifo', [at('pipe')])
  await sweep(folder)
  t.ok(existsSync(at('dead')), 'what is new may be about to listen')
  await sweep(folder, later())
  while (existsSync(at('dead'))) await new Promise(setImmediate)
  t.strictSame(readdirSync(folder).toSorted(), ['file', 'folder', 'link', 'live', 'pipe'])
})

t.test('of many files some are looked at', async t => {
  const folder = short(t)
  for (let at = 0; at < 20; at++) await left(join(folder, `s${at}`))
  await sweep(folder, later())
  while (readdirSync(folder).length > 4) await new Promise(setImmediate)
  await sweep(folder, later())
  while (readdirSync(folder).length > 0) await new Promise(setImmediate)
})

t.test('a folder that cannot be read is left alone', async t => {
  await sweep(join(short(t), 'none'))
})

const root = { skip: process.getuid?.() === 0 && 'root may do all' }

t.test('so is a socket that refuses this user', root, async t => {
  const folder = short(t)
  const path = join(folder, 'closed')
  await left(path)
  chmodSync(path, 0)
  await sweep(folder, later())
  t.ok(existsSync(path))
})
