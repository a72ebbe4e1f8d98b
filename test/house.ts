// The rules of the house that the linter does not see: imports that are made late or in types, circles through them, and
// Node's insides as strings. "How it is built" in README.md says what stands where.
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/** The floors of `lib/`, top first; each imports only from those below it. The last is the door. */
const FLOORS = [
  'entry',
  'commands',
  'gateways',
  'adapters',
  'promises',
  'sockets',
  'registration',
  'client',
  'options',
  'resolution',
  'daemon',
  'keys',
  'directories',
  'transports',
  'policy',
  'wire',
  'node',
  'vocabulary',
]

/** The most files that may stand at the door of `lib/`. */
const DOOR = 16

const lib = fileURLToPath(new URL('../lib', import.meta.url))
const files = readdirSync(lib, { recursive: true })
  .map(file => String(file).replaceAll(sep, '/'))
  .filter(file => file.endsWith('.ts'))
const textOf = (file: string) => readFileSync(join(lib, file), 'utf8')

function floorOf(file: string): string {
  if (['cli.ts', 'monikerd.ts', 'promises.ts'].includes(file)) return 'entry'
  if (file === 'resolution.ts') return 'resolution'
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : 'vocabulary'
}

/** The files that a file imports, at once or late, as values or as types. */
function imported(file: string): string[] {
  const found = textOf(file).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.\.?\/[^']+\.ts)'/g)
  return [...found].map(([, to = '']) => normalize(join(dirname(file), to)).replaceAll(sep, '/'))
}

t.test('a file imports only from the floors below its own', async t => {
  for (const file of files) {
    const floor = FLOORS.indexOf(floorOf(file))
    t.not(floor, -1, `${file} stands on a floor that is known`)
    for (const to of imported(file)) {
      const below = FLOORS.indexOf(floorOf(to))
      t.ok(floor <= below, `${file} → ${to}`)
      const isDaemons = ['entry', 'commands', 'registration', 'daemon'].includes(floorOf(file))
      t.ok(floorOf(to) !== 'daemon' || isDaemons, `${file} → ${to}`)
    }
  }
})

t.test('no file imports itself by way of others', async t => {
  const done = new Set<string>()
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) t.fail([...way, file].join(' → '))
    if (done.has(file) || way.includes(file)) return
    for (const to of imported(file)) visit(to, [...way, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  t.equal(done.size, files.length)
})

t.test('the map in the README has each floor, and files that are there', async t => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const map = readme.slice(readme.indexOf('## How it is built'), readme.indexOf('## More'))
  const told = [...map.matchAll(/^\| `(\w+)\/` \|/gm)].map(([, floor]) => floor)
  t.strictSame(
    told,
    FLOORS.filter(floor => files.some(file => file.startsWith(`${floor}/`))),
  )
  for (const [, name = ''] of map.matchAll(/`(?:[\w/]*\/)?(\w+\.ts)`/g)) {
    t.ok(['index.ts', 'house.ts'].includes(name) || files.some(file => file.endsWith(name)), name)
  }
})

t.test('few files stand at the door', async t => {
  const door = files.filter(file => !file.includes('/'))
  t.ok(door.length <= DOOR, door.join(', '))
})
t.test('Node’s insides are in one folder', async t => {
  const insides = /owner_symbol|\b_(?:handle|host|connections|server|undestroy|hadError)\b/
  for (const file of files.filter(file => !file.startsWith('node/'))) {
    t.notMatch(textOf(file), insides, file)
  }
})

t.test('timers and clocks are those that were there at the start', async t => {
  // The linter sees the globals.
  for (const file of files.filter(file => file !== 'clock.ts')) {
    t.notMatch(textOf(file), /'(?:node:)?(?:timers|perf_hooks)\b|new Date\(\)/, file)
  }
})
