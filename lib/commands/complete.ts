import type { Listed } from '../wire/protocol.ts'
import { candidates } from './candidates.ts'
import { shape } from './shape.ts'
import { printable } from './terminal.ts'

/** Milliseconds until the daemon is given up: somebody has pressed a key. */
const PATIENCE = 1_000

/** Prints what may stand for the last of `words`, the words of a call that is being typed, for the scripts of `moniker completion`. */
export async function complete(words: readonly string[]): Promise<void> {
  const found = await candidates(await shape(), words, services)
  const lines = new Set(found.map(({ word, about }) => [word, about].map(printable).join('\t')))
  for (const line of lines) console.log(line)
}

/** The services of this host. Without an answer there is nothing to offer. */
async function services(): Promise<readonly Listed[]> {
  const { Resolver } = await import('../client/resolver.ts')
  return new Resolver({ timeout: PATIENCE }).list().catch(() => [])
}
