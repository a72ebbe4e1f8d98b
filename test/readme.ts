// What the README claims must run: its programs, and its sessions in a terminal.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { t, test, type Test } from 'tap'
import { nobody } from './fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const root = fileURLToPath(new URL('..', import.meta.url))

/** How long a command has, in ms; none of those that wait do so for longer. */
const PATIENCE = 60_000

/**
 * What tap has each program of ours load is not for the reader's; and Python may not write half a line, in which
 * another program would then write.
 */
const OUTSIDE = 'unset NODE_OPTIONS PYTHONUNBUFFERED'

/** Built anew: what its readers run is the package, not its sources. */
const dist = join(root, '.tap', 'readme')
const build = 'node_modules/.bin/tsc -p tsconfig.build.json --outDir "$0"'
execFileSync('bash', ['-c', `${OUTSIDE}; ${build}`, dist], { cwd: root })

/** The README's fenced blocks in a language, and the heading each stands under. */
function blocks(language: string): { heading: string; code: string }[] {
  const fences = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
  return fences.flatMap(({ 1: found, 2: code = '', index: at }) => {
    const heading =
      readme
        .slice(0, at)
        .match(/^#+ .*$/gm)
        ?.at(-1) ?? ''
    return found === language ? [{ heading, code }] : []
  })
}

/** A port of its own for each: they run as on a host where nothing else does. */
async function environment() {
  return { ...process.env, MONIKER_PORT: String(await nobody()) }
}

/** The file of ours that a reader imports as `entry`, in quotes. */
function built(entry: string): string {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, { default: string }>
  }
  const { default: file } = exports[entry.replace('moniker-net', '.')]!
  return JSON.stringify(file.replace('./dist', dist))
}

for (const { heading, code } of blocks('js')) {
  test(`the program under "${heading}" runs`, async t => {
    const program = join(t.testdir(), 'program.mjs')
    writeFileSync(
      program,
      code.replaceAll(/'(moniker-net[^']*)'/g, (_text, entry) => built(entry as string)),
    )
    const child = spawn('bash', ['-c', `${OUTSIDE}; exec node "$0"`, program], {
      env: await environment(),
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    t.teardown(() => child.kill())
    t.same(await once(child, 'exit'), [0, null])
  })
}

for (const { heading, code } of blocks('console')) {
  test(`the session under "${heading}" goes as shown`, async t => {
    const steps = code.split(/^\$ /m).slice(1)
    const shell = await bash(t)
    for (const step of steps) {
      const [command = '', ...expected] = step.trimEnd().split('\n')
      t.equal(await shell.instead(command, expected.map(plain)), undefined, command)
    }
  })
}

test('what it points to is there', t => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-')
  const headings = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => slug(text))
  for (const [, to = ''] of readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
    t.ok(to.startsWith('#') ? headings.includes(to.slice(1)) : existsSync(join(root, to)), to)
  }
  t.end()
})

test('what it shows of other libraries is what is tested with them', t => {
  const bare = (text: string) => text.replaceAll('MonikerSocket', 'Socket').replaceAll(/[\s,]/g, '')
  const tested = ['adapters', 'integration']
    .map(directory => join(root, 'test', directory))
    .flatMap(directory => readdirSync(directory).map(file => join(directory, file)))
    .map(file => bare(readFileSync(file, 'utf8')))
  for (const { code } of blocks('ts')) {
    const lines = code.split('\n').map(bare)
    for (const line of lines.filter(line => line && !line.startsWith('import'))) {
      t.ok(
        tested.some(test => test.includes(line)),
        line,
      )
    }
  }
  t.end()
})

/** A shell that knows our commands; all that it starts ends with the test. */
async function bash(t: Test) {
  const functions = 'moniker() { node "$CLI" "$@"; }; monikerd() { moniker daemon "$@"; }'
  const shell = spawn('bash', ['--noprofile', '--norc'], {
    env: { ...(await environment()), CLI: join(dist, 'lib', 'cli.js') },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  t.teardown(async () => {
    process.kill(-shell.pid!, 'SIGTERM')
    await once(shell, 'close')
  })
  shell.stdin.write(`${OUTSIDE}; ${functions}\n`)
  let output = ''
  let look = () => {}
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', text => {
      output += text
      look()
    })
  }
  /** Types a command, and waits for the lines that are to come; what has come, if they do not. */
  const instead = (command: string, expected: string[]) =>
    new Promise<string | undefined>(resolve => {
      const late = setTimeout(() => resolve(output), PATIENCE)
      output = ''
      look = () => {
        const lines = output.split('\n').map(plain)
        if (!expected.every(line => lines.includes(line))) return
        clearTimeout(late)
        resolve(undefined)
      }
      shell.stdin.write(`${command}\n`)
      look()
    })
  return { instead }
}

/** A line without its numbers, which differ from run to run, and its columns. */
function plain(line: string): string {
  return line.replaceAll(/\d+/g, 'N').replaceAll(/\s+/g, ' ').trim()
}
