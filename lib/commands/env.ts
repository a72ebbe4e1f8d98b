import { Command, Option } from 'commander'
import { Resolver } from '../client/resolver.ts'
import { distinct, find, neighbour } from './neighbours.ts'
import {
  daemonPortOption,
  jsonOption,
  namespaceOption,
  useNamespace,
  waitOption,
} from './options.ts'
import { tell } from './terminal.ts'

interface Options {
  format: keyof typeof FORMATS
  json?: boolean
  wait: number
  daemonPort?: number
  namespace?: string
}

/** How a variable is set in the words of each reader; in the values there is nothing to escape. */
const FORMATS = {
  sh: (name: string, value: string) => `export ${name}='${value}'`,
  fish: (name: string, value: string) => `set -gx ${name} '${value}'`,
  plain: (name: string, value: string) => `${name}=${value}`,
}

/** What a shell evaluates instead; of nothing at all it would think that all is well. */
const FAILED = 'false'

export const envCommand = new Command('env')
  .description('Says where services are in variables for a shell, once all are there.')
  .argument('<name...>', 'such as db, cache@^7, ns:db or main=db://theforce.net')
  .addOption(
    new Option('--format <format>', 'whose words').choices(Object.keys(FORMATS)).default('sh'),
  )
  .addOption(waitOption().default(30_000, '30s'))
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .addHelpText(
    'after',
    `
For db these are DB_URL, DB_HOST, DB_PORT and DB_VERSION; for main=db they are MAIN_URL and so on. The
scheme and the path of the URL are those in the metadata of the service, else tcp:// or udp://.
In a shell, which fails if one is missing:
  eval "$(moniker env db cache)"`,
  )
  .action(env)

async function env(names: string[], { format, json, ...options }: Options): Promise<void> {
  try {
    const variables = await variablesFor(names, options)
    if (json) return console.log(JSON.stringify(variables, undefined, 2))
    const lines = Object.entries(variables).map(([name, value]) => FORMATS[format](name, value))
    console.log(lines.join('\n'))
  } catch (error) {
    if (!json && format !== 'plain') console.log(FAILED)
    throw error
  }
}

function variablesFor(
  names: string[],
  { wait, ...options }: Omit<Options, 'format' | 'json'>,
): Promise<Record<string, string>> {
  useNamespace(options.namespace)
  const neighbours = distinct(names.map(name => neighbour(name, options)))
  return find(neighbours, { resolver: new Resolver(), wait, tell })
}
