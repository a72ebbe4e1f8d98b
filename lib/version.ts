import { createRequire } from 'node:module'
import type { compare, satisfies as inRange, valid, validRange } from 'semver'
import { badName } from './errors.ts'

// The build leaves this line out: bundlers see the plain call below, and take the package in.
const require = createRequire(import.meta.url)

/** The part of the package `semver` that is used here. */
interface Semver {
  readonly compare: typeof compare
  readonly satisfies: typeof inRange
  readonly valid: typeof valid
  readonly validRange: typeof validRange
}

let loaded: Semver | undefined

/**
 * The package `semver`. It is loaded for the first version or range that is not a plain one: it takes
 * as long to load as half of this library. The files are named one by one, so that a bundle has no others.
 */
function semver(): Semver {
  return (loaded ??= {
    compare: require('semver/functions/compare.js'),
    satisfies: require('semver/functions/satisfies.js'),
    valid: require('semver/functions/valid.js'),
    validRange: require('semver/ranges/valid.js'),
  } as Semver)
}

/** A number that the package reads as well; longer ones may be beyond what is safe. */
const NUMBER = '(?:0|[1-9]\\d{0,14})'
const plain = new RegExp(`^${NUMBER}\\.${NUMBER}\\.${NUMBER}$`)
const simpleRange = new RegExp(`^(?:[~^=]|[<>]=?)?${NUMBER}(?:\\.${NUMBER}){0,2}$`)

/** The longest range that is read, in characters. */
const MAX_RANGE = 128

/**
 * The exact version a server registers: `''` is `0.0.0`, `1` and `1.0` are `1.0.0`; throws `ERR_MONIKER_NAME`
 * on a range.
 */
export function exactVersion(version: string): string {
  if (plain.test(version)) return version
  const wholes = version === '' ? ['0.0.0'] : [version, `${version}.0`, `${version}.0.0`]
  for (const whole of wholes) {
    const exact = plain.test(whole) ? whole : semver().valid(whole)
    if (exact) return exact
  }
  throw badName(version, 'a server to give an exact version such as 1.2.0')
}

/** True if `text` is a version range of at most `max` characters, or nothing, which is any version. */
export function isRange(text: unknown, max = MAX_RANGE): text is string {
  if (typeof text !== 'string' || text.length > max) return false
  return text === '' || simpleRange.test(text) || semver().validRange(text) !== null
}

/** True if an exact version is in a range; `''` is any. */
export function satisfies(
  version: string,
  range: string,
  options?: { includePrerelease: boolean },
): boolean {
  if (range === '') return true
  if (plain.test(range) && plain.test(version)) return range === version
  return semver().satisfies(version, range, options)
}

/** Below 0 if `a` is the lower of two exact versions, above 0 if it is the higher, else 0. */
export function compareVersions(a: string, b: string): number {
  return a === b ? 0 : semver().compare(a, b)
}
