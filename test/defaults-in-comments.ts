// The doc comments of options, and the tables of the daemon's settings and limits, tell their true defaults: `Default 2,000.` is what `DEFAULTS` has beside the interface.
import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { DEFAULTS as DAEMON } from '../lib/daemon/daemon.ts'
import { MAX as GATEWAYS, MAX_OWNED } from '../lib/daemon/gateways.ts'
import { DEFAULTS as LIMITS } from '../lib/daemon/limits.ts'
import { DEFAULTS as LEASES } from '../lib/daemon/leases.ts'
import { DEFAULTS as FOLLOWERS } from '../lib/daemon/subscriptions.ts'

const lib = new URL('../lib/', import.meta.url)

/** `export const DEFAULTS = { … } satisfies Options`: the constant and the interface, which stands in the same file. */
const CONSTANT = /const (\w*DEFAULTS)\b(?:[^]*?\bsatisfies (?:\w+<)?(\w+))?/g

/** A doc comment and the option that it stands before. */
const OPTION = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*(?:readonly )?(\w+)\?:/g

const files = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts'))
  .map(file => ({ file, source: readFileSync(new URL(file, lib), 'utf8') }))
  .filter(({ source }) => /const \w*DEFAULTS\b/.test(source))

const numberOf = (digits: string) => Number(digits.replaceAll(',', ''))

/** The number or the rate in a text, if it begins with one. */
function toldIn(text: string): unknown {
  const [, perSecond, burst] = /^([\d,]+) a second, ([\d,]+) at once/.exec(text) ?? []
  if (burst) return { perSecond: numberOf(perSecond!), burst: numberOf(burst) }
  const [, digits, unit] = /^([\d,]*\d)( MiB)?/.exec(text) ?? []
  return digits ? numberOf(digits) * (unit ? 2 ** 20 : 1) : undefined
}

/** True of a default that is told in digits. */
const isNumber = (value: unknown) =>
  typeof value === 'number' || Object.hasOwn(Object(value), 'burst')

t.ok(files.length > 0)
for (const { file, source } of files) {
  t.test(`${file} tells the defaults that it has`, async t => {
    const module = (await import(new URL(file, lib).href)) as Record<string, object>
    for (const [, constant, options] of source.matchAll(CONSTANT)) {
      const [, members] = source.split(new RegExp(`interface ${options}\\b.*\\{\n([^]*?)\n\\}`))
      if (!members) return t.fail(`${constant} satisfies no interface of this file`)
      const comments = new Map(
        Array.from(members.matchAll(OPTION), ([, text, name]) => [name!, text!]),
      )
      const defaults = new Map(Object.entries(module[constant!]!))
      for (const name of new Set([...comments.keys(), ...defaults.keys()])) {
        const told = toldIn(/\bDefault (.*)/.exec(comments.get(name) ?? '')?.[1] ?? '')
        const value: unknown = defaults.get(name)
        if (isNumber(value) || told !== undefined) t.strictSame(told, value, name)
      }
    }
  })
}

const page = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')

t.test('docs/server.md tells the defaults of the daemon', async t => {
  const rows = page('docs/server.md').matchAll(/^\| `(limits\.)?(\w+)` \| [^|]+ \| ([^|]+) \|/gm)
  const told = [...rows].map(([, of, name, text]) => [of ? LIMITS : DAEMON, name, toldIn(text!)])
  const all = Object.entries({ ...DAEMON, ...LIMITS, connections: 0, names: 0 })
  for (const [name, value] of all.filter(([, value]) => value && isNumber(value))) {
    const row = told.find(([, other]) => other === name)
    t.ok(row, name)
    t.strictSame(row?.[2], value, name)
  }
})

t.test('PROTOCOL.md tells the limits of the daemon', async t => {
  const [, limits = ''] = page('PROTOCOL.md').split(/^## (?:Limits|Test vectors)$/m)
  const numbers = [...limits.matchAll(/^\| .* \| (.*\d.*) \|$/gm)].map(([, text = '']) =>
    Array.from(text.matchAll(/\d[\d,]*/g), ([digits]) => numberOf(digits)),
  )
  const { changes, hostQuestions, remoteQuestions } = LIMITS
  t.strictSame(numbers, [
    [LIMITS.names, LIMITS.allNames],
    [changes.perSecond],
    [16_384],
    [FOLLOWERS.maxOwned, FOLLOWERS.max],
    [FOLLOWERS.max / 4, FOLLOWERS.max / 4, FOLLOWERS.max / 2],
    [1, MAX_OWNED, GATEWAYS],
    [LEASES.maxOwned, LEASES.max],
    [hostQuestions.perSecond, remoteQuestions.perSecond],
    [LIMITS.connections, LIMITS.hostConnections],
  ])
  t.match(page('PROTOCOL.md'), `For the first ${DAEMON.grace} ms`)
  t.match(page('PROTOCOL.md'), `${DAEMON.ttl.toLocaleString('en')} if not set`)
  t.match(page('PROTOCOL.md'), `Without step 4 within ${DAEMON.linger / 1_000} s`)
  t.match(limits, `half a line has waited ${DAEMON.patience / 1_000} s`)
  t.match(limits, `silent for ${DAEMON.idle / 60_000} minutes`)
})
