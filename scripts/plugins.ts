// What the build changes in our sources, each as a plugin of the bundler. No change moves a line.
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

const STATE = '\0moniker-state'

/**
 * Makes the builds for `import` and `require`, and whatever bundles hold a copy of them, one program: of each of
 * our modules the first copy that runs is the one whose exports all others use. So there is one registrar, one
 * resolver, one class `MonikerSocket` in a process. The copies meet under a symbol with the version.
 */
export function oneState({ name, version }: Package, root: string): Plugin {
  const symbol = JSON.stringify(`${name}@${version}`)
  return {
    name: 'one-state',
    resolveId: id => (id === STATE ? id : undefined),
    load: id => (id === STATE ? stateOf(symbol) : undefined),
    transform(code, id) {
      const file = relative(root, id).replaceAll('\\', '/')
      const isShared = /^(index|lib\/.*)\.ts$/.test(file) && !isAbsolute(file)
      // The commands are programs, of which no other imports anything.
      if (!isShared || file.startsWith('lib/commands/')) return undefined
      return { code: shared(code, file), map: null }
    },
  }
}

function stateOf(symbol: string): string {
  return `const modules = (globalThis[Symbol.for(${symbol})] ??= Object.create(null))
    export const share = (file, own) => (modules[file] ??= own)`
}

/** The module with its exports exchanged for those of its first copy. */
function shared(code: string, file: string): string {
  const exported = new Map<string, string>()
  let text = code
  const blank = (start: number, end: number) => {
    const lines = text.slice(start, end).replaceAll(/[^\n]/g, ' ')
    text = text.slice(0, start) + lines + text.slice(end)
  }
  for (const node of treeOf(code)) {
    if (node.exportKind === 'type' || node.source) continue
    if (node.type === 'ExportDefaultDeclaration') {
      exported.set('default', code.slice(node.declaration!.start, node.declaration!.end))
      blank(node.start, node.end)
    } else if (node.type === 'ExportNamedDeclaration' && node.declaration) {
      for (const name of namesOf(node.declaration)) exported.set(name, name)
      blank(node.start, node.declaration.start)
    } else if (node.type === 'ExportNamedDeclaration') {
      const values = node.specifiers!.filter(({ exportKind }) => exportKind !== 'type')
      for (const { local, exported: as } of values) exported.set(as.name!, local.name!)
      blank(node.start, node.end)
    }
  }
  if (exported.size === 0) return code
  const own = [...exported].map(([as, local]) => `${as}: ${local}`).join()
  const taken = [...exported.keys()].map(as => `${as}: $${as}`).join()
  const given = [...exported.keys()].map(as => `$${as} as ${as}`).join()
  const share = `import { share as $share } from ${JSON.stringify(STATE)}`
  return `${text};${share};const { ${taken} } = $share(${JSON.stringify(file)}, { ${own} });export { ${given} }`
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

/** Leaves out the line by which our sources make a `require`: the bundler then sees plain calls, and bundles lazily what they load. */
export function lateRequire(): Plugin {
  const line = /^const require = createRequire\(import\.meta\.url\)$/m
  return {
    name: 'late-require',
    transform: code => (line.test(code) ? { code: code.replace(line, ''), map: null } : undefined),
  }
}

/** Loads packages of others by `require` instead of `import()`, which CommonJS has not everywhere (in Jest, for one). */
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
    load: id => modules[relative(root, id).replaceAll('\\', '/')],
  }
}

function treeOf(code: string): readonly Node[] {
  return parseAst(code, { lang: 'ts' }).body as unknown as readonly Node[]
}
