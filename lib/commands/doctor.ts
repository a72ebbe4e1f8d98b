import { Command } from 'commander'
import { designatedPort } from '../settings.ts'
import { checkup, type Finding } from './checkup.ts'
import { daemonPortOption, hostArgument, jsonOption, type Place } from './options.ts'
import { colour, printable } from './terminal.ts'

interface Options {
  daemonPort?: number
  json?: boolean
}

export const doctorCommand = new Command('doctor')
  .description('Looks for what is wrong with the daemon of a host, and around it.')
  .addArgument(hostArgument())
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .addHelpText('after', '\nEnds with 0 if all is well, and with 1 if there is a hint.')
  .action(doctor)

async function doctor(place: Place | undefined, { json, ...options }: Options): Promise<void> {
  const { host = '', daemonPort = designatedPort() } = { ...options, ...place }
  const findings: Finding[] = []
  for await (const finding of checkup(host, daemonPort)) {
    findings.push(finding)
    if (!json) console.log(shown(finding))
  }
  if (json) console.log(JSON.stringify(findings, undefined, 2))
  process.exitCode = findings.every(({ ok }) => ok) ? 0 : 1
}

function shown({ check, ok, text, hint }: Finding): string {
  const verdict = ok ? colour('green', 'ok  ') : colour('yellow', 'hint')
  const line = `${verdict}  ${check.padEnd(14)}  ${printable(text)}`
  return hint ? `${line}\n${' '.repeat(22)}${printable(hint)}` : line
}
