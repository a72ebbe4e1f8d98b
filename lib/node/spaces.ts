import { readlinkSync } from 'node:fs'

/**
 * The number of the PID namespace that this process is in: two containers may each have a process 7. `undefined` where
 * the system has no such namespaces, or does not tell. `link` names the namespace.
 */
export function pidNamespace(link = '/proc/self/ns/pid'): number | undefined {
  return numberIn(link)
}

/** The number of the network namespace that this process is in; `undefined` as above. */
export function netNamespace(link = '/proc/self/ns/net'): number | undefined {
  return numberIn(link)
}

function numberIn(link: string): number | undefined {
  try {
    const [digits] = /\d+/.exec(readlinkSync(link))!
    return Number(digits)
  } catch {
    return undefined
  }
}
