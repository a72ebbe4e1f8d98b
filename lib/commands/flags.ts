import { basename } from 'node:path'

/** A tool that has its own flag for the port that it serves on. Not all of them, or not always, take it from PORT. */
interface Tool {
  /** The commands of the tool that serve; `''` is the tool without one. */
  readonly serves: readonly string[]
  /** The arguments that give it a port; `{port}` is the port. */
  readonly flags: readonly string[]
  /** The other words by which a command says the port itself. */
  readonly also?: readonly string[]
  /** True if the port is no flag, but the first argument that is a number, or ends in one. */
  readonly isPositional?: true
}

const PORT = ['--port', '{port}']
const STRICT = [...PORT, '--strictPort']
const DJANGO: Tool = { serves: ['runserver'], flags: ['{port}'], isPositional: true }

/** THE TABLE of tools that may ignore PORT, by the name of the program, or of the module of Python. */
const TOOLS: Readonly<Record<string, Tool>> = {
  vite: { serves: ['', 'dev', 'serve', 'preview'], flags: STRICT },
  vitepress: { serves: ['', 'dev', 'serve', 'preview'], flags: PORT },
  'react-router': { serves: ['dev'], flags: PORT },
  next: { serves: ['', 'dev', 'start'], flags: PORT, also: ['-p'] },
  astro: { serves: ['dev', 'preview'], flags: PORT },
  ng: { serves: ['serve', 's', 'dev'], flags: PORT },
  expo: { serves: ['', 'start'], flags: PORT, also: ['-p'] },
  'react-native': { serves: ['start'], flags: PORT },
  webpack: { serves: ['serve', 'server', 's'], flags: PORT },
  'webpack-dev-server': { serves: [''], flags: PORT },
  rsbuild: { serves: ['', 'dev', 'preview'], flags: PORT },
  storybook: { serves: ['dev'], flags: PORT, also: ['-p'] },
  'vue-cli-service': { serves: ['serve'], flags: PORT },
  ember: { serves: ['serve', 'server', 's'], flags: PORT, also: ['-p'] },
  wrangler: { serves: ['dev'], flags: PORT },
  docusaurus: { serves: ['start', 'serve'], flags: PORT, also: ['-p'] },
  rails: { serves: ['server', 's'], flags: PORT, also: ['-p'] },
  jekyll: { serves: ['serve', 'server', 's'], flags: PORT, also: ['-P'] },
  hugo: { serves: ['server', 'serve'], flags: PORT, also: ['-p'] },
  flask: { serves: ['run'], flags: PORT, also: ['-p'] },
  uvicorn: { serves: [''], flags: PORT },
  fastapi: { serves: ['dev', 'run'], flags: PORT },
  streamlit: { serves: ['run'], flags: ['--server.port', '{port}'] },
  'manage.py': DJANGO,
  'django-admin': DJANGO,
  django: DJANGO,
  'http.server': { serves: [''], flags: ['{port}'], isPositional: true },
  artisan: { serves: ['serve'], flags: PORT },
}

/** The words that only run another program, whose own words follow. */
const RUNNERS =
  /^(?:npx|bunx|pnpx|exec|dlx|x|bundle|poetry|pipenv|uv|run|node|tsx|python[\d.]*|php|ruby|env|cross-env)$/

/** The tools that run a script of package.json, and those of their words that are scripts without `run`. */
const MANAGERS: Readonly<Record<string, readonly string[]>> = {
  npm: ['start', 'test', 'restart'],
  pnpm: [],
  yarn: [],
  bun: [],
}

/** The deepest that scripts which run scripts are followed. */
const DEEPEST = 4

/** A tool in a command, and the words that are its own. */
interface Found {
  readonly name: string
  readonly tool: Tool
  readonly rest: readonly string[]
  /** The words that stand before more arguments, so that they get to the tool. */
  readonly before: readonly string[]
}

/** A command that gives its tool a port. */
export interface Flagged {
  /** The name of the tool. */
  readonly tool: string
  /** The arguments that it is given. */
  readonly flags: readonly string[]
  /** The whole command. */
  readonly words: readonly string[]
}

/**
 * The command with the arguments that give its tool the port `{port}`; `undefined` if it has no tool that is known, or
 * gives a port itself. `scripts` are those of package.json.
 */
export function flagged(
  words: readonly string[],
  scripts: Readonly<Record<string, unknown>> = {},
): Flagged | undefined {
  if (words.some(word => word.includes('{port}'))) return undefined
  const php = phpServer(words)
  if (php) return php
  const found = toolIn(words, scripts, DEEPEST)
  if (!found || !serves(found) || givesPort(found)) return undefined
  const { name, tool, before } = found
  return { tool: name, flags: tool.flags, words: [...words, ...before, ...tool.flags] }
}

function toolIn(
  words: readonly string[],
  scripts: Readonly<Record<string, unknown>>,
  depth: number,
): Found | undefined {
  for (const [index, word] of words.entries()) {
    const name = nameOf(word)
    const rest = words.slice(index + 1)
    if (Object.hasOwn(TOOLS, name)) {
      // npm takes arguments up to `--` for its own.
      const before = nameOf(words[0]!) === 'npm' && !words.includes('--') ? ['--'] : []
      return { name, tool: TOOLS[name]!, rest, before }
    }
    const script = scriptIn(name, rest, scripts)
    if (script) return depth > 0 ? toolOf(script, scripts, depth - 1) : undefined
    const isPassed = word.startsWith('-') || /^\w+=/.test(word) || RUNNERS.test(name)
    if (!isPassed && !Object.hasOwn(MANAGERS, name)) return undefined
  }
  return undefined
}

/** The name of a program in a word such as `node_modules/vite/bin/vite.js`. */
function nameOf(word: string): string {
  return basename(word).replace(/\.(?:[cm]?js|cmd|exe)$/, '')
}

/** A script that a manager of packages runs, and the arguments that it gets. */
interface Script {
  readonly text: string
  readonly args: readonly string[]
  readonly before: readonly string[]
}

function scriptIn(
  manager: string,
  rest: readonly string[],
  scripts: Readonly<Record<string, unknown>>,
): Script | undefined {
  const shorthands = MANAGERS[manager]
  if (!shorthands) return undefined
  const own = afterOptions(rest)
  const isRun = /^run(?:-script)?$/.test(own[0] ?? '')
  const [name = '', ...args] = isRun ? afterOptions(own.slice(1)) : own
  const text = Object.hasOwn(scripts, name) ? scripts[name] : undefined
  if (typeof text !== 'string') return undefined
  const isNpm = manager === 'npm'
  if (!isRun && isNpm && !shorthands.includes(name)) return undefined
  const end = args.indexOf('--')
  // npm takes options after the script as well.
  const taken = isNpm ? args.slice(0, end === -1 ? args.length : end) : []
  if (taken.some(arg => ELSEWHERE.test(arg))) return undefined
  const isOpen = !isNpm || end !== -1
  return { text, args: args.filter(arg => arg !== '--'), before: isOpen ? [] : ['--'] }
}

/** The options of a manager that lead to a package elsewhere, whose scripts are others. */
const ELSEWHERE = /^(?:-[CFrw]|--(?:cwd|dir|filter|prefix|recursive|workspaces?))(?:=|$)/

/** The words after the options of a manager. */
function afterOptions(words: readonly string[]): readonly string[] {
  const first = words.findIndex(word => !word.startsWith('-') || ELSEWHERE.test(word))
  return first === -1 ? [] : words.slice(first)
}

/** The tool that gets what is added to the call of a script: that of its last command. */
function toolOf(
  { text, args, before }: Script,
  scripts: Readonly<Record<string, unknown>>,
  depth: number,
): Found | undefined {
  const last = text
    .split(/&&|\|\||;/)
    .at(-1)!
    .trim()
  // Words after a pipe, or of a command in the background, get the arguments of another.
  if (/[|&]/.test(last)) return undefined
  const found = toolIn([...last.split(/\s+/), ...args], scripts, depth)
  return found && { ...found, before: [...before, ...found.before] }
}

/** True if the tool is called to serve, and not to build, say. */
function serves({ tool, rest }: Found): boolean {
  const [first = ''] = rest
  const command = /^[a-z][\w-]*$/i.test(first) ? first : ''
  if (tool.serves.includes('')) return tool.serves.includes(command)
  return rest.some(word => tool.serves.includes(word))
}

/** True if the command gives its tool a port by itself. */
function givesPort({ tool: { flags, also = [], isPositional }, rest }: Found): boolean {
  if (isPositional) return rest.some(word => /^(?:.*:)?\d+$/.test(word))
  const [flag = ''] = flags
  return rest.some(
    word => word === flag || word.startsWith(`${flag}=`) || also.some(one => word.startsWith(one)),
  )
}

/** The command of PHP's own server, whose port is that of an address. */
function phpServer(words: readonly string[]): Flagged | undefined {
  const at = words.indexOf('-S')
  if (at === -1 || !/^php[\d.]*$/.test(nameOf(words[0]!))) return undefined
  const given = words[at + 1]
  const host = given === undefined || given.startsWith('-') ? undefined : given
  if (host && /:\d+$/.test(host)) return undefined
  const flags = [`${host ?? '127.0.0.1'}:{port}`]
  return { tool: 'php', flags, words: words.toSpliced(at + 1, host ? 1 : 0, ...flags) }
}
