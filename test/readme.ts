// README.md and the pages in docs/ tell the truth: their programs and sessions run, and their links lead somewhere.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { t, test, type Test } from 'tap'
import { daemonCommand } from '../lib/commands/daemon.ts'
import { nobody } from './fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

const root = fileURLToPath(new URL('..', import.meta.url))

/** Milliseconds that a command has; none of those that wait do so for longer. */
const PATIENCE = 60_000

/**
 * The words that unset what tap has each program of ours load, which is not for the reader's; and Python may not write
 * half a line, in which another program would then write.
 */
const OUTSIDE = 'unset NODE_OPTIONS PYTHONUNBUFFERED'

/** The package, built anew: its readers run it, not its sources. */
const dist = join(root, '.tap', 'readme')
const build = 'exec node --import=./test/fixtures/strip.js scripts/build.ts "$0"'
execFileSync('bash', ['-c', `${OUTSIDE}; ${build}`, dist], { cwd: root })

/** A stand-in for Docker, as there is none where tests run: a server of Python, at the port that is published. */
const docker = `#!/usr/bin/env bash
case "$1 $2" in
  'run '*) exec python3 -m http.server "$(sed 's/.* -p \\([0-9]*\\):.*/\\1/' <<<"$*")" ;;
  'compose up') python3 -m http.server "$DOCKER_PORT" & ;;
  'compose port') printf '%s\\n' "0.0.0.0:$DOCKER_PORT" "[::]:$DOCKER_PORT" ;;
esac
`
const bin = join(root, '.tap', 'readme-bin')
mkdirSync(bin, { recursive: true })
writeFileSync(join(bin, 'docker'), docker, { mode: 0o755 })

/** A page, by its path from the root. */
interface Page {
  readonly file: string
  readonly text: string
}

/** A fenced block, and the heading and page that it stands on. */
interface Block {
  readonly title: string
  readonly code: string
}

const page = (file: string): Page => ({ file, text: readFileSync(join(root, file), 'utf8') })
const markdown = (folder: string) =>
  readdirSync(join(root, folder))
    .filter(name => name.endsWith('.md'))
    .map(name => join(folder, name))

/** The pages whose programs and sessions are run. */
const manual = ['README.md', ...markdown('docs')].map(page)

const FENCE = /^```(\w+)\n(.*?)^```$/gms
const HEADING = /^#+ (.*)$/gm

/** The text with spaces for its fenced blocks: what is in them is neither heading nor link. */
function prose(text: string): string {
  return text.replaceAll(FENCE, block => ' '.repeat(block.length))
}

/** The fenced blocks in a language. */
function blocks(language: string): Block[] {
  return manual.flatMap(({ file, text }) => {
    const headings = [...prose(text).matchAll(HEADING)]
    const found = [...text.matchAll(FENCE)].filter(([, word]) => word === language)
    return found.map(({ 2: code = '', index: at }) => {
      const heading = headings.findLast(({ index }) => index < at)?.[1]
      return { title: `"${heading}" of ${file}`, code }
    })
  })
}

/** A port of its own for each: they run as on a host where nothing else does. */
async function environment() {
  return { ...process.env, MONIKER_PORT: String(await nobody()) }
}

/** The file of ours that a reader imports as `entry`, in quotes. */
function built(entry: string): string {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, { import: { default: string } }>
  }
  const { import: file } = exports[entry.replace('moniker-net', '.')]!
  return JSON.stringify(file.default.replace('./dist', dist))
}

/** The port in the program of `net` that the README begins with; it may be somebody's here. */
const PORT = '4181'

for (const { title, code } of blocks('js')) {
  test(`the program under ${title} runs`, async t => {
    const program = join(t.testdir(), 'program.mjs')
    writeFileSync(
      program,
      code
        .replaceAll(/'(moniker-net[^']*)'/g, (_text, entry) => built(entry as string))
        .replaceAll(PORT, String(await nobody())),
    )
    const child = spawn('bash', ['-c', `${OUTSIDE}; exec node "$0"`, program], {
      env: await environment(),
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    t.teardown(() => child.kill())
    t.same(await once(child, 'exit'), [0, null])
  })
}

for (const { title, code } of blocks('console')) {
  test(`the session under ${title} goes as shown`, async t => {
    const steps = code.split(/^\$ /m).slice(1)
    const shell = await bash(t)
    for (const step of steps) {
      const [command = '', ...expected] = step.trimEnd().split('\n')
      t.equal(await shell.instead(command, expected.map(plain)), undefined, command)
    }
  })
}

test('links lead somewhere', t => {
  const pages = [...markdown('.'), ...markdown('docs')].map(page)
  const anchors = new Map(pages.map(({ file, text }) => [file, anchorsOf(text)]))
  for (const { file, text } of pages) {
    for (const [, to = ''] of prose(text).matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path, anchor] = to.split('#') as [string, string?]
      const target = path ? join(dirname(file), path) : file
      t.ok(existsSync(join(root, target)), `${file} has a link to ${to}: the file`)
      if (anchor) t.ok(anchors.get(target)?.has(anchor), `${file} has a link to ${to}: the heading`)
    }
  }
  t.end()
})

test('each promise of SECURITY.md names a test that is there', t => {
  const { text } = page('SECURITY.md')
  const [, promises = ''] = /^## Promises\n(.*?)^## /ms.exec(text)!
  for (const promise of promises.split(/^- /m).slice(1)) {
    const tests = [...promise.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, file = '']) => file)
    const [title = ''] = promise.split('\n')
    t.not(tests.length, 0, title)
    for (const file of tests) t.ok(existsSync(join(root, file)), `${title}: ${file}`)
  }
  t.end()
})

test('the README begins with the demo and the tests', t => {
  const shell = [...page('README.md').text.matchAll(FENCE)].filter(([, word = '']) =>
    ['sh', 'bash', 'shell', 'console'].includes(word),
  )
  const first = shell.slice(0, 2).map(([, word, code]) => [word, code])
  t.strictSame(first, [
    ['sh', 'npm ci && npm run demo\n'],
    ['sh', 'npm ci && npm test\n'],
  ])
  t.end()
})

/** A line of code as it is compared: without what formatting, or the name of a class, changes. */
function bare(text: string): string {
  return text.replaceAll('MonikerSocket', 'Socket').replaceAll(/[\s,]/g, '')
}

test('what is shown of libraries, and of the paper, is what runs elsewhere', t => {
  const tested = ['test/adapters', 'test/integration', 'examples']
    .flatMap(folder => readdirSync(join(root, folder)).map(name => join(folder, name)))
    .map(file => bare(readFileSync(join(root, file), 'utf8')))
  const lines = blocks('ts').flatMap(({ code }) => code.split('\n'))
  const cells = [...page('README.md').text.matchAll(/^\| `[^|]+ \| [^|]+ \| `(.+)` \|$/gm)]
  t.ok(cells.length > 5, 'the README has a table of libraries')
  for (const line of [...lines, ...cells.map(([, cell = '']) => cell)]) {
    if (!bare(line) || line.startsWith('import')) continue
    t.ok(
      tested.some(text => text.includes(bare(line))),
      line,
    )
  }
  t.end()
})

test('no error and no setting of monikerd is left out', t => {
  const code = readFileSync(join(root, 'lib', 'errors.ts'), 'utf8')
  const known = [...code.matchAll(/^ {2}(E[A-Z]+): \{\n {4}code: '(\w+)'/gm)]
  const told = [...page('docs/errors.md').text.matchAll(/^\| `([A-Z_]+)` \| `([A-Z]+)` \|/gm)]
  t.strictSame(
    told.map(([, code, reason]) => `${reason} ${code}`).toSorted(),
    known.map(([, reason, code]) => `${reason} ${code}`).toSorted(),
  )
  const settings = page('docs/server.md').text
  for (const { long } of daemonCommand.options.filter(({ long }) => long !== '--version')) {
    t.ok(settings.includes(`| \`${long}\` |`), String(long))
  }
  t.end()
})

/** The fragments of a link to a page; headings that are the same could not be told apart. */
function anchorsOf(text: string): Set<string> {
  const headings = [...prose(text).matchAll(HEADING)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  )
  const twice = headings.find((heading, index) => headings.indexOf(heading) !== index)
  if (twice) throw new Error(`two headings are #${twice}`)
  return new Set(headings)
}

/** A shell that knows our commands; all that it starts ends with the test. */
async function bash(t: Test) {
  const functions = 'moniker() { node "$CLI" "$@"; }; monikerd() { moniker daemon "$@"; }'
  const own = {
    CLI: join(dist, 'lib', 'cli.js'),
    DOCKER_PORT: String(await nobody()),
    PATH: [bin, process.env.PATH].join(delimiter),
  }
  const shell = spawn('bash', ['--noprofile', '--norc'], {
    env: { ...(await environment()), ...own },
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
