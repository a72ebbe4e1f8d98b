import { occupants, type Bindable } from '../node/proc.ts'
import type { DaemonStatus, PublicStatus } from '../daemon/daemon.ts'

/** The result of one check. */
export interface Finding {
  /** The subject of the check, in a word or two. */
  readonly check: string
  /** True if it is as it should be. */
  readonly ok: boolean
  readonly text: string
  /** The advice, if it is not. */
  readonly hint?: string
}

/** The status of a daemon, which tells other hosts, and users whom its policy keeps names from, but a part of it. */
export type ToldStatus = PublicStatus & Partial<DaemonStatus>

/** A finding that all is well, or that merely informs. */
export function fine(check: string, text: string): Finding {
  return { check, ok: true, text }
}

/** A finding that something is wrong, with advice on what to do. */
export function bad(check: string, text: string, hint: string): Finding {
  return { check, ok: false, text, hint }
}

/**
 * The processes that have a port, but for those `known`, as words for the end of a sentence; `''` if there are none.
 */
export async function holders(
  transport: Bindable,
  port: number,
  known: readonly number[] = [],
): Promise<string> {
  const found = await occupants({ transport, port })
  const all = found.filter(({ pid }) => !known.includes(pid))
  return all.length > 0
    ? `: process ${all.map(({ pid, name }) => `${pid} (${name})`).join(', ')}`
    : ''
}
