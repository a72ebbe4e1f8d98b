import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { LOOPBACK } from '../address.ts'
import { Gateway } from '../gateways/gateway.ts'
import { askOption, daemonPortOption, namesOption } from './options.ts'
import { isProgram } from './orphans.ts'
import { proxied, type ProxiedCall } from './programs.ts'
import { Program } from './run.ts'
import { keepAlive } from './terminal.ts'

/** The program that leads others by what they load first. */
const PRELOADER = 'proxychains4'

/** The port of a gateway that is only shown. */
const ANY_PORT = 'PORT'

interface Options {
  ask?: boolean
  preload?: boolean
  rewrite: boolean
  print?: boolean
  names?: string[]
  daemonPort?: number
}

export const execCommand = new Command('exec')
  .description('Runs any program so that it finds names, by a gateway of its own.')
  .usage('[options] [--] <command...>')
  .argument('<command...>', 'the command and its arguments')
  .passThroughOptions()
  .addOption(askOption())
  .option('--preload', `lead a program that knows no proxy, such as redis-cli, by ${PRELOADER}`)
  .option('--no-rewrite', 'leave arguments that are URIs as they are')
  .option('--print', 'print the variables and the arguments, and run nothing')
  .addOption(namesOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
The program finds the gateway in http_proxy, ALL_PROXY and the like. For curl, wget, git and pip, arguments
that are URIs of ours become such as they understand. For example:
  moniker exec --ask lynx http://www.ietf.org
  moniker exec lynx reynolds:http://ietf.org
  moniker exec curl starwars://theforce.net/x
  moniker exec --preload psql -h db`,
  )
  .action((...args: Parameters<typeof exec>) => keepAlive(exec(...args)))

async function exec(
  words: string[],
  { ask = false, preload = false, print = false, rewrite, names = [], daemonPort }: Options,
): Promise<void> {
  const own = {
    ...(names.length > 0 && { MONIKER_NAMES: names.join(',') }),
    ...(daemonPort !== undefined && { MONIKER_PORT: String(daemonPort) }),
  }
  const call = (port: number | string): ProxiedCall => {
    const proxy = `${LOOPBACK[0]}:${port}`
    const { words: changed, variables } = proxied(words, { proxy, rewrite, env: process.env })
    return {
      words: changed,
      variables: { ...variables, ...hooked(import.meta.url, process.env), ...own },
    }
  }
  if (print) return show(call(ANY_PORT), preload)
  if (preload) assertPreloader()
  const port = daemonPort === undefined ? {} : { daemonPort }
  const gateway = await Gateway.open({ port: 0, isPrivate: true, ask, names, ...port })
  try {
    const { words: changed, variables } = call(gateway.port)
    const env = { ...process.env, ...variables }
    process.exitCode = preload
      ? await preloaded(changed, env, gateway.port)
      : await run(changed, env)
  } finally {
    await gateway.close()
  }
}

/** The exit status of a program. */
function run(words: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Program({ words, env }, async () => {}).run()
}

/** The exit status of a program whose connections all go by a gateway. */
async function preloaded(
  words: readonly string[],
  env: NodeJS.ProcessEnv,
  port: number,
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'moniker-exec-'))
  try {
    const file = join(folder, 'proxychains.conf')
    await writeFile(file, settings(port))
    return await run(preloading(file, words), env)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function preloading(file: string, words: readonly string[]): string[] {
  return [PRELOADER, '-q', '-f', file, ...words]
}

/** The settings by which host names, too, come to the gateway at `port`. What is on this host is gone to directly. */
function settings(port: number): string {
  const lines = [
    'strict_chain',
    'proxy_dns',
    'localnet 127.0.0.0/255.0.0.0',
    'localnet ::1/128',
    '[ProxyList]',
    `socks5 ${LOOPBACK[0]} ${port}`,
  ]
  return lines.map(line => `${line}\n`).join('')
}

function assertPreloader(): void {
  if (isProgram(PRELOADER)) return
  throw new Error(
    `${PRELOADER} is not installed, which --preload needs: apt install proxychains4, or dnf or brew install proxychains-ng`,
  )
}

/** The hook that programs of Node load: in the package beside this file, and in the sources. */
const HOOKS = ['./gateways-hook.mjs', '../gateways/hook.ts']

/** The variable by which a program of Node loads the hook that is found from `here`, beside what it loads already. */
export function hooked(here: string, { NODE_OPTIONS: before }: NodeJS.ProcessEnv): object {
  const hook = HOOKS.map(file => new URL(file, here)).find(file => existsSync(file))
  if (!hook) return {}
  return { NODE_OPTIONS: [before, `--import=${hook.href}`].filter(Boolean).join(' ') }
}

/** Prints a call as a shell reads it. */
function show({ words, variables }: ProxiedCall, preload: boolean): void {
  const all = Object.entries(variables)
  const unset = all.filter(([, value]) => value === undefined).map(([name]) => `-u ${name}`)
  const set = all.filter(([, value]) => value !== undefined)
  const shown = preload ? preloading('FILE', words) : words
  const lines = [
    `env ${unset.join(' ')}`,
    ...set.map(([name, value]) => `${name}=${quoted(value!)}`),
    shown.map(quoted).join(' '),
  ]
  console.log(lines.join(' \\\n  '))
}

/** A word as a shell reads it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
