// Writes the manual pages in man/ from what the commands say of themselves: npm run man.
import type { EventEmitter } from 'node:events'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Command, Option } from 'commander'
import { monikerCommand } from '../lib/commands/moniker.ts'
import { version } from '../lib/commands/version.ts'

const NAMES = `
A name is [namespace:]service[@version], a URI [namespace:]service[@range]://[host[:daemon-port]][/path]. Services and
namespaces are letters, digits, ., _, + and -, a letter first. A server has one exact version (none is 0.0.0), a client
asks for a range (none is any), and the highest in range wins. Every host has one daemon on one designated port, 6664,
which knows on what port each service listens; where none answers, the first program that listens becomes it.`

const EXIT_STATUS = [
  ['0', 'done'],
  ['1', 'failed; standard error says why'],
  ['2', 'wrong usage'],
] as const

const OF_COMMAND = ['others', 'of the command, from moniker run and moniker exec'] as const

const ENVIRONMENT = [
  ['MONIKER_PORT', 'the designated port (6664)'],
  ['MONIKER_PORTS', 'the range that ports of servers are chosen from, such as 20000-20999'],
  [
    'MONIKER_HOST',
    'the addresses, separated by commas, that an embedded daemon binds beside the loopback ones; :: is all',
  ],
  [
    'MONIKER_NAMESPACE',
    'the namespace of names that give none: a word, auto (the git work tree) or auto:branch (its branch)',
  ],
  [
    'MONIKER_GATEWAY',
    'the gateway whose URLs are given, such as http://localhost:6680 (that of this user, or of root)',
  ],
  ['MONIKER_POLICY', 'the file that says who may do what'],
  ['BROWSER', 'the command by which moniker open opens a URL'],
  ['DEBUG', 'moniker:* logs everything on standard error'],
  ['NO_COLOR, FORCE_COLOR', 'no colours; colours even without a terminal'],
] as const

/** A manual page, and where it stands. */
export interface Page {
  readonly file: string
  readonly text: string
}

/** The pages as they should be. */
export async function pages(): Promise<Page[]> {
  const moniker = await monikerCommand()
  const daemon = moniker.commands.find(command => command.name() === 'daemon')!
  return [
    page('moniker', 1, moniker, ['monikerd(8)', 'nc(1)', 'services(5)']),
    page('monikerd', 8, daemon, ['moniker(1)']),
  ]
}

function page(name: string, section: number, command: Command, related: string[]): Page {
  const statuses = section === 1 ? [...EXIT_STATUS, OF_COMMAND] : EXIT_STATUS
  const lines = [
    String.raw`.\" Written by npm run man; not to be changed by hand.`,
    `.TH ${name.toUpperCase()} ${section} "" "moniker ${version}" "Moniker"`,
    '.SH NAME',
    `${name} \\- ${escaped(command.description().replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    ...usage(command, name),
    '.SH DESCRIPTION',
    ...prose(section === 1 ? NAMES : `${command.description()}\n${helpAfter(command)}`),
    '.SH OPTIONS',
    ...items(optionsOf(command)),
    ...(section === 1 ? ['.SH COMMANDS', ...commandsOf(command).flatMap(described)] : []),
    '.SH EXIT STATUS',
    ...items(statuses),
    '.SH ENVIRONMENT',
    ...items(ENVIRONMENT),
    '.SH SEE ALSO',
    escaped(related.join(', ')),
  ]
  return { file: `man/${name}.${section}`, text: `${lines.join('\n')}\n` }
}

/** A command, and those that are below it. */
function described(command: Command): string[] {
  const help = command.createHelp()
  const terms = help
    .visibleArguments(command)
    .map(one => [`<${help.argumentTerm(one)}>`, help.argumentDescription(one)] as const)
  return [
    `.SS ${escaped(command.name())}`,
    ...usage(command, command.name()),
    ...prose(command.description()),
    ...items([...terms, ...optionsOf(command)]),
    ...prose(helpAfter(command)),
    ...commandsOf(command).flatMap(described),
  ]
}

/** The lines of usage; `monikerd` is named so. */
function usage(command: Command, name: string): string[] {
  const text = command.createHelp().commandUsage(command)
  const words = name === 'monikerd' ? text.replace('moniker daemon', name) : text
  return ['.nf', ...words.split('\n').map(line => escaped(line.trim())), '.fi']
}

function commandsOf(command: Command): Command[] {
  return command.commands.filter(one => command.createHelp().visibleCommands(command).includes(one))
}

function optionsOf(command: Command): [term: string, about: string][] {
  const help = command.createHelp()
  return help
    .visibleOptions(command)
    .filter(({ long }) => long !== '--help' || !command.parent)
    .map((option: Option) => [help.optionTerm(option), help.optionDescription(option)])
}

/** The text of a command after its options. */
function helpAfter(command: Command): string {
  let text = ''
  const write = (some: string) => (text += some)
  // Commander keeps it in a listener.
  ;(command as unknown as EventEmitter).emit('afterHelp', { error: false, command, write })
  return text
}

/** Paragraphs; lines that are indented stay as they are. */
function prose(text: string): string[] {
  const lines = text.trim().split('\n')
  const isCode = (line: string | undefined) => line?.startsWith('  ') ?? false
  return lines.flatMap((line, index) => {
    const starts = isCode(line) && !isCode(lines[index - 1]) ? ['.PP', '.nf'] : []
    const ends = isCode(line) && !isCode(lines[index + 1]) ? ['.fi'] : []
    if (line === '') return ['.PP']
    return [...(index === 0 ? ['.PP'] : []), ...starts, escaped(line), ...ends]
  })
}

function items(all: readonly (readonly [term: string, about: string])[]): string[] {
  return all.flatMap(([term, about]) => ['.TP', `.B ${escaped(term)}`, escaped(about)])
}

/** Text in which roff finds nothing to do. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replace(/^(?=[.'])/, String.raw`\&`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { file, text } of await pages())
    writeFileSync(new URL(`../${file}`, import.meta.url), text)
}
