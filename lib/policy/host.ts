import { lstatSync } from 'node:fs'
import { hasCode } from '../errors.ts'
import { HOST_POLICY } from '../settings.ts'
import type { Policy } from './policy.ts'

/** The file with the policy of this host, if it is there, or if that cannot be known. Windows has no such place. */
export function hostPolicyFile(file = HOST_POLICY): string | undefined {
  if (!process.getuid) return undefined
  try {
    // A link that leads nowhere is a policy that is lost, and not none.
    return lstatSync(file, { throwIfNoEntry: false }) && file
  } catch (error) {
    // To read it says what is wrong.
    return hasCode(error, 'ENOTDIR') ? undefined : file
  }
}

/** The files that are obeyed together: that of this host, and one more, if they are there. */
export function policyFiles(own: string | undefined): readonly string[] {
  const all = [hostPolicyFile(), own].filter(file => file !== undefined)
  return [...new Set(all)]
}

let place: { readonly file: string | undefined } | undefined
let policy: Promise<Policy> | undefined

/**
 * The policy of this host, for a program; `undefined` if there is none. It is looked for once, and read once. Fails
 * with `ERR_MONIKER_POLICY` if it is wrong or cannot be read: then the program uses no name, until it is mended.
 */
export function hostPolicy(): Promise<Policy> | undefined {
  place ??= { file: hostPolicyFile() }
  const { file } = place
  if (file === undefined) return undefined
  policy ??= import('./file.ts')
    .then(({ loadPolicy }) => loadPolicy(file))
    .catch(error => {
      policy = undefined
      throw error
    })
  return policy
}
