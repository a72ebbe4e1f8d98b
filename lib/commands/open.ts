import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { delimiter } from 'node:path'
import { Command } from 'commander'
import { daemonPortOption, namespaceOption, targetOf, useNamespace } from './options.ts'
import { tell } from './terminal.ts'
import { findWebURL } from './weburl.ts'

/** The commands that open a URL in the browser of the user. No shell reads the URL, on Windows neither. */
const OPENERS: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
}

interface Options {
  daemonPort?: number
  namespace?: string
}

export const openCommand = new Command('open')
  .description('Opens a name in a browser, at the address that it has by a gateway.')
  .argument('<name>', 'such as web, ns:web, or a URI such as web://localhost/path')
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
The browser is that in BROWSER: a command, in which %s stands for the URL, or several, separated as in PATH, of which
the first that works is taken. Without it the system chooses. There must be a gateway: see moniker gateway.`,
  )
  .action(open)

async function open(name: string, options: Options): Promise<void> {
  useNamespace(options.namespace)
  const url = await findWebURL(targetOf(name, undefined, options))
  const failures: string[] = []
  for (const [file, ...args] of openers(url)) {
    tell(`opening ${url} with ${file}`)
    const failure = await failureOf(file!, args)
    if (failure === undefined) return
    failures.push(`${file} ${failure}`)
  }
  throw new Error(`${failures.join(', ')}; open ${url} yourself, or name a browser in BROWSER`)
}

/** The calls of programs that may open a URL, the best first. */
export function openers(
  url: string,
  { BROWSER = '' }: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string[][] {
  const given = BROWSER.split(delimiter).map(text => text.split(' ').filter(Boolean))
  const own = given.filter(({ length }) => length > 0)
  const all = own.length > 0 ? own : [OPENERS[platform] ?? ['xdg-open']]
  return all.map(words =>
    words.some(word => word.includes('%s'))
      ? words.map(word => word.replaceAll('%s', () => url))
      : [...words, url],
  )
}

/** Runs a program to its end, as one in a terminal may take long; says how it has failed, if it has. */
async function failureOf(file: string, args: readonly string[]): Promise<string | undefined> {
  const child = spawn(file, args, { stdio: 'inherit' })
  try {
    const [status] = (await once(child, 'exit')) as [number | null]
    return status === 0 ? undefined : `has ended with ${status ?? 'a signal'}`
  } catch (error) {
    return `cannot be run (${(error as NodeJS.ErrnoException).code})`
  }
}
