// The doc comments of options tell their true defaults: `Default 2,000.` is what `DEFAULTS` has beside the interface.
import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'

const lib = new URL('../lib/', import.meta.url)

/** `export const DEFAULTS = { … } satisfies Options`: the constant and the interface, which stands in the same file. */
const CONSTANT = /const (\w*DEFAULTS)\b(?:[^]*?\bsatisfies (?:\w+<)?(\w+))?/g

/** A doc comment and the option that it stands before. */
const OPTION = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*(?:readonly )?(\w+)\?:/g

const files = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts'))
  .map(file => ({ file, source: readFileSync(new URL(file, lib), 'utf8') }))
  .filter(({ source }) => /const \w*DEFAULTS\b/.test(source))

/** The number that a doc comment gives as the default, if it gives one. */
function toldIn(comment: string): number | undefined {
  const [, digits, unit] = /\bDefault ([\d,]*\d)( MiB)?/.exec(comment) ?? []
  return digits ? Number(digits.replaceAll(',', '')) * (unit ? 2 ** 20 : 1) : undefined
}

t.ok(files.length > 0)
for (const { file, source } of files) {
  t.test(`${file} tells the defaults that it has`, async t => {
    const module = (await import(new URL(file, lib).href)) as Record<string, object>
    for (const [, constant, options] of source.matchAll(CONSTANT)) {
      const [, members] = source.split(new RegExp(`interface ${options}\\b.*\\{\n([^]*?)\n\\}`))
      if (!members) return t.fail(`${constant} satisfies no interface of this file`)
      const comments = new Map(
        Array.from(members.matchAll(OPTION), ([, text, name]) => [name!, text!]),
      )
      const defaults = new Map(Object.entries(module[constant!]!))
      for (const name of new Set([...comments.keys(), ...defaults.keys()])) {
        const told = toldIn(comments.get(name) ?? '')
        const value: unknown = defaults.get(name)
        if (typeof value === 'number' || told !== undefined) t.equal(told, value, name)
      }
    }
  })
}
