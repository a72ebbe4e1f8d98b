// The changes that the build makes to our sources, each a plugin of the bundler. No change moves a line.
import { isAbsolute, relative } from 'node:path'
import type { Plugin } from 'rolldown'
import { parseAst } from 'rolldown/parseAst'

interface Package {
  readonly name: string
  readonly version: string
}

/** The parts of a syntax tree that are looked at here. */
interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly exportKind?: 'type' | 'value'
  readonly source?: { readonly value: string } | null
  readonly declaration?: Node | null
  readonly declarations?: readonly { readonly id: Node }[]
  readonly specifiers?: readonly { local: Node; exported: Node; exportKind?: string }[]
  readonly properties?: readonly { readonly value: Node }[]
  readonly id?: Node | null
  readonly kind?: string
  readonly name?: string
  readonly value?: unknown
}

/** Modules by their ids, each with the names of its exports. */
export type Exported = Map<string, readonly string[]>

/** The modules that another file of ours has, and the place where that is. */
export interface Elsewhere {
  readonly modules: Exported
  readonly file: string
}

const STATE = '\0moniker-state'

/**
 * Makes the builds for `import` and `require`, and whatever bundles hold a copy of them, one program: of each of
 * our modules the first copy that runs is the one whose exports all others use. So there is one registrar, one
 * resolver, one class `MonikerSocket` in a process. The copies meet under a symbol with the version. Modules that are
 * `elsewhere` are taken from there, by loading that file. `found` gets the others.
 */
export function oneState(
  { name, version }: Package,
  root: string,
  { elsewhere, found }: { elsewhere?: Elsewhere; found?: Exported } = {},
): Plugin {
  const state = `globalThis[Symbol.for(${JSON.stringify(`${name}@${version}`)})]`
  return {
    name: 'one-state',
    resolveId(id) {
      if (id === STATE) return id
      return id === elsewhere?.file ? { id, external: true } : undefined
    },
    load(id) {
      if (id === STATE) return stateOf(state)
      const names = elsewhere?.modules.get(id)
      return (
        names && takenFrom(elsewhere!.file, `${state}[${JSON.stringify(fileOf(id, root))}]`, names)
      )
    },
    transform(code, id) {
      const file = fileOf(id, root)
      const isShared = /^(index|lib\/.*)\.ts$/.test(file) && !isAbsolute(file)
      // The commands are programs, of which no other imports anything.
      if (!isShared || file.startsWith('lib/commands/') || elsewhere?.modules.has(id))
        return undefined
      const exported = exportsOf(code)
      found?.set(id, [...exported.names.keys()])
      return { code: shared(exported, file), map: null }
    },
  }
}

/**
 * Leaves out of a file what it loads late. `entries` gets the sources, by the names of the files for them; `place` is
 * where the file finds such a file.
 */
export function lateEntries(
  entries: Map<string, string>,
  root: string,
  place: (name: string) => string,
): Plugin {
  return {
    name: 'late-entries',
    async resolveId(id, importer, { kind }) {
      const found = kind === 'dynamic-import' && (await this.resolve(id, importer))
      if (!found || found.external) return undefined
      const [, folder, file] = /^lib\/(\w+)\/(\w+)\.ts$/.exec(fileOf(found.id, root))!
      const name = `lib/${folder}-${file}`
      entries.set(name, found.id)
      return { id: place(name), external: true }
    },
  }
}

export function fileOf(id: string, root: string): string {
  return relative(root, id).replaceAll('\\', '/')
}

function stateOf(state: string): string {
  return `const modules = (${state} ??= Object.create(null))
    export const share = (file, own) => (modules[file] ??= own)`
}

function takenFrom(file: string, place: string, names: readonly string[]): string {
  const { taken, given } = renamed(names)
  return `import ${JSON.stringify(file)};const { ${taken} } = ${place};export { ${given} }`
}

/** A module without the word `export`, and the names that it exports, each with what it names. */
interface Exports {
  readonly text: string
  readonly names: ReadonlyMap<string, string>
}

function exportsOf(code: string): Exports {
  const names = new Map<string, string>()
  let text = code
  const blank = (start: number, end: number) => {
    const lines = text.slice(start, end).replaceAll(/[^\n]/g, ' ')
    text = text.slice(0, start) + lines + text.slice(end)
  }
  for (const node of treeOf(code)) {
    if (node.exportKind === 'type' || node.source) continue
    if (node.type === 'ExportDefaultDeclaration') {
      names.set('default', code.slice(node.declaration!.start, node.declaration!.end))
      blank(node.start, node.end)
    } else if (node.type === 'ExportNamedDeclaration' && node.declaration) {
      for (const name of namesOf(node.declaration)) names.set(name, name)
      blank(node.start, node.declaration.start)
    } else if (node.type === 'ExportNamedDeclaration') {
      const values = node.specifiers!.filter(({ exportKind }) => exportKind !== 'type')
      for (const { local, exported: as } of values) names.set(as.name!, local.name!)
      blank(node.start, node.end)
    }
  }
  return { text, names }
}

/** The module with its exports exchanged for those of its first copy. */
function shared({ text, names }: Exports, file: string): string {
  if (names.size === 0) return text
  const own = [...names].map(([as, local]) => `${as}: ${local}`).join()
  const { taken, given } = renamed([...names.keys()])
  const share = `import { share as $share } from ${JSON.stringify(STATE)}`
  return `${text};${share};const { ${taken} } = $share(${JSON.stringify(file)}, { ${own} });export { ${given} }`
}

/** The patterns that take these names from an object and give them to importers. */
function renamed(names: readonly string[]): { taken: string; given: string } {
  return {
    taken: names.map(name => `${name}: $${name}`).join(),
    given: names.map(name => `$${name} as ${name}`).join(),
  }
}

/** The names of values that a declaration makes; a type makes none, and overloads make one together. */
function namesOf(declaration: Node): string[] {
  switch (declaration.type) {
    case 'FunctionDeclaration':
    case 'TSDeclareFunction':
    case 'ClassDeclaration':
      return [declaration.id!.name!]
    case 'VariableDeclaration':
      if (declaration.kind !== 'const') throw new Error('only what is constant can be shared')
      return declaration.declarations!.flatMap(({ id }) =>
        id.type === 'ObjectPattern' ? id.properties!.map(({ value }) => value.name!) : [id.name!],
      )
    default:
      throw new Error(`no way is known to share a ${declaration.type}`)
  }
}

/**
 * Leaves out the line by which our sources make a `require`: the bundler then sees plain calls, and bundles lazily what
 * they load.
 */
export function lateRequire(): Plugin {
  const line = /^const require = createRequire\(import\.meta\.url\)$/m
  return {
    name: 'late-require',
    transform: code => (line.test(code) ? { code: code.replace(line, ''), map: null } : undefined),
  }
}

/**
 * Loads packages of others by `require` instead of `import()`, which CommonJS has not everywhere (in Jest, for one).
 */
export function loadedByRequire(packages: readonly string[]): Plugin {
  const call = new RegExp(`\\bimport\\(('(?:${packages.join('|')})')\\)`, 'g')
  return {
    name: 'loaded-by-require',
    transform: code =>
      code.search(call) < 0 ? undefined : { code: code.replaceAll(call, 'require($1)'), map: null },
  }
}

/** Puts data in the place of modules that would find them out at run time. Keys are paths of sources. */
export function replaced(root: string, modules: Readonly<Record<string, string>>): Plugin {
  return {
    name: 'replaced',
    load: id => modules[fileOf(id, root)],
  }
}

function treeOf(code: string): readonly Node[] {
  return parseAst(code, { lang: 'ts' }).body as unknown as readonly Node[]
}
