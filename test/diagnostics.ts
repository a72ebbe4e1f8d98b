import { execFile } from 'node:child_process'
import { test } from 'tap'

const { execArgv, execPath } = process
const url = new URL('../lib/diagnostics.ts', import.meta.url).href

interface Ended {
  status: number
  stdout: string
  stderr: string
}

/** A program that has `log`, the diagnostics of `moniker:test`: it loads `debug` once, and only if it has to. */
function program(text: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const whole = `
    import { createRequire, register } from 'node:module'
    import { diagnostics } from '${url}'
    const require = createRequire('${url}')
    const log = diagnostics('moniker:test')
    ${text}`
  const { DEBUG: _, ...bare } = process.env
  const options = { env: { ...bare, NO_COLOR: '1', NODE_NO_WARNINGS: '1', ...env } }
  const args = [...execArgv, '--input-type=module', '-e', whole]
  return new Promise(resolve =>
    execFile(execPath, args, options, (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  )
}

/** The numbers in the lines of `log('line %d', number)`. */
function numbers(stderr: string): number[] {
  return [...stderr.matchAll(/moniker:test line (\d+)/g)].map(([, number]) => Number(number))
}

const DEBUG = 'moniker:*'
const path = `require.resolve('debug')`

test('nobody reads them by default, and the package is not loaded', async t => {
  const text = `log('line %d', 1); console.log(log.enabled, ${path} in require.cache)`
  t.same(await program(text), { status: 0, stdout: 'false false\n', stderr: '' })
})

test('lines are kept while the package is loaded, up to a number', async t => {
  const { stderr } = await program(`for (let i = 1; i <= 150; i++) log('line %d', i)`, { DEBUG })
  t.same(
    numbers(stderr),
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
  const later = await program(
    `log('line %d', 1); await import('debug'); await null; await null; log('line %d', 2)`,
    { DEBUG },
  )
  t.same(numbers(later.stderr), [1, 2])
})

test('those of a program that exits meanwhile are written', async t => {
  const { stderr } = await program(`log('line %d', 1); process.exit()`, { DEBUG })
  t.same(numbers(stderr), [1])
})

test('a program switches them on and off while it runs', async t => {
  const { stdout, stderr } = await program(
    `const debug = require('debug')
    log('line %d', 1)
    const before = log.enabled
    while (log.enabled) await new Promise(setImmediate)
    debug.enable('moniker:*')
    log('line %d', 2)
    debug.disable()
    log('line %d', 3)
    console.log(before, log.enabled)`,
  )
  t.same(numbers(stderr), [2])
  t.equal(stdout, 'true false\n', 'until it is known who reads them, they may be read')
})

test('only those that are asked for are written', async t => {
  const text = `
    log('line %d', 1)
    const other = diagnostics('moniker:other')
    other('no line'), other('other line')
    while (log.enabled) await new Promise(setImmediate)
    console.log(other.enabled)`
  const { stdout, stderr } = await program(text, { DEBUG: 'moniker:other' })
  t.equal(stdout, 'true\n')
  t.match(stderr, /moniker:other other line/)
  t.notMatch(stderr, 'moniker:test')
})

/** A hook for whatever imports the package. */
const hook = `export const resolve = async (name, context, next) => {
  if (name === 'debug') throw new Error('broken')
  return next(name, context)
}`

test('without the package there are none, be it missing, broken or something else', async t => {
  const broken = `
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}))
    const { default: Module } = await import('node:module')
    Module._resolveFilename = () => { throw new Error('broken') }`
  const other = `require.cache[${path}] = { exports: {}, loaded: true }`
  const wait = `while (log.enabled) await new Promise(setImmediate)`
  const end = `log('line %d', 2); console.log(log.enabled)`
  for (const text of [broken, other]) {
    const expected = { status: 0, stdout: 'false\n', stderr: '' }
    t.same(await program(`${text}\nlog('line %d', 1)\n${wait}\n${end}`, { DEBUG }), expected)
    t.match(await program(`${text}\nlog('line %d', 1)\nprocess.exit()`, { DEBUG }), { stderr: '' })
  }
  const unread = { status: 0, stdout: 'false\n', stderr: '' }
  t.same(await program(`${broken}\n${end}`), unread, 'nor is it looked for in vain')
})
