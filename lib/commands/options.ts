import { InvalidArgumentError, Option } from 'commander'

/** `--daemon-port`, the designated port of the daemon that is meant. */
export function daemonPortOption(): Option {
  return new Option('--daemon-port <number>', 'the designated port of the daemon')
    .env('MONIKER_PORT')
    .argParser(toPort)
}

export function jsonOption(): Option {
  return new Option('--json', 'as JSON, for programs')
}

/** Reads a port; throws what commander shows as wrong usage. */
export function toPort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new InvalidArgumentError('Expected a port from 1 to 65535.')
}

/** Reads `NAME` or `NAME=value`, beside those that came before; throws what commander shows as wrong usage. */
export function toVariables(text: string, before: [string, string][] = []): [string, string][] {
  const [, name, value = '{port}'] = /^([a-z_]\w*)(?:=(.*))?$/is.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('Expected NAME or NAME=value.')
  return [...before, [name, value]]
}

/** A line for people, beside the data. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Aborts when the command is to stop; a second signal then has its usual effect. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => stop.abort(new Error(signal)))
  }
  return stop.signal
}
