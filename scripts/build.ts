// build [FOLDER]: makes `dist`, the package as it is published, and beside it the examples and benchmarks, which are
// not; in another folder only the code of the package, for a test.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { builtinModules, isBuiltin } from 'node:module'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  rolldown,
  type OutputChunk,
  type OutputOptions,
  type Plugin,
  type RolldownBuild,
} from 'rolldown'
import { dts } from 'rolldown-plugin-dts'
import { decode, encode } from '@jridgewell/sourcemap-codec'
import { esmExternalRequirePlugin } from 'rolldown/plugins'
import { shape } from '../lib/commands/shape.ts'
import {
  fileOf,
  lateEntries,
  lateRequire,
  loadedByRequire,
  oneState,
  replaced,
  type Elsewhere,
  type Exported,
} from './plugins.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const given = process.argv[2]
const dist = given ? resolve(given) : join(root, 'dist')
const declarations = join(root, 'node_modules', '.cache', 'declarations')

interface Package {
  name: string
  version: string
  engines: { node: string }
  exports: Record<string, string | { require: { default: string } }>
}

const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package

/** The packages that a program brings itself, and `debug`, of which it must have one copy only. */
const OUTSIDE = ['debug', 'undici', 'ioredis', '@grpc/grpc-js']

/**
 * The modules that are data once this is built: the version, and the words that completion knows; and the `process` of
 * `readable-stream`, of which a test could replace `nextTick` (lib/clock.ts).
 */
const known = {
  'node_modules/process/index.js': `module.exports = Object.create(process, { nextTick: { value: process.nextTick } })`,
  'lib/commands/version.ts': `export const version = ${JSON.stringify(own.version)}
    export const engines = ${JSON.stringify(own.engines)}`,
  'lib/commands/shape.ts': `export const shape = async () => (${JSON.stringify(await shape())})`,
}

/** The endings of the code of each build. The `package.json` in `dist/lib` makes `.js` a CommonJS module there. */
const ENDING = { esm: 'mjs', cjs: 'cjs' } as const

type Format = keyof typeof ENDING

/** The files that `package.json` exports beside the main one, without their ending, and their sources. */
const exported = Object.values(own.exports)
  .flatMap(entry => (typeof entry === 'string' ? [] : [entry.require.default]))
  .map(file => file.slice('./dist/'.length, -'.cjs'.length))
  .filter(name => name !== 'index')
  .map(name => [name, name.replace('-', '/')] as const)

/** The entry point that is loaded before a program, and so is light: it loads the main module late, if ever. */
const HOOK = 'lib/gateways-hook'

/** The files that Node itself runs. They are CommonJS modules, which start faster. */
const programs = {
  'lib/cli': join(root, 'lib/cli.ts'),
  'lib/monikerd': join(root, 'lib/monikerd.ts'),
  'lib/thread': join(root, 'lib/registration/thread.ts'),
}

/** Modules that programs use without the main one: these have copies of their own. */
const LIGHT = ['lib/clock.ts']

/** A machine that is busy is no fault of the build. */
const QUIET = { bundlerTimings: false } as const

function inputs(
  files: Iterable<readonly [name: string, source: string]>,
  folder = root,
  ending = '.ts',
): Record<string, string> {
  return Object.fromEntries([...files].map(([name, file]) => [name, join(folder, file + ending)]))
}

/** Options of the bundler that all code has in common. */
const CODE = {
  dir: dist,
  sourcemap: true,
  exports: 'named',
  // CommonJS has no `import()` everywhere: in Jest, for one.
  dynamicImportInCjs: false,
  // The sources are in the maps.
  comments: { annotation: true, legal: true, jsdoc: false },
  // A program reads all of it when it starts. Whoever sees a stack or inspects an object wants to see our names.
  minify: {
    compress: { keepNames: { function: true, class: true } },
    mangle: { toplevel: true, keepNames: true },
    codegen: { removeWhitespace: true },
  },
} satisfies OutputOptions

/**
 * One of two builds, for `import` and for `require`, over one state. The main module is a single file, and so is each
 * that it loads late, as every file costs a program time; whatever else we publish finds there what both have.
 */
async function build(format: Format): Promise<OutputChunk[]> {
  const modules: Exported = new Map()
  const late = new Map<string, string>()
  const ending = ENDING[format]
  const main = format === 'esm' ? 'index.js' : 'index.cjs'
  const chunks = await single(format, main, join(root, 'index.ts'), [
    lateEntries(late, root, name => `./${name}.${ending}`),
    oneState(own, root, { found: modules }),
  ])
  chunks.push(
    ...(await single(format, `${HOOK}.${ending}`, join(root, 'lib/gateways/hook.ts'), [
      lateEntries(late, root, name => `./${basename(name)}.${ending}`),
      oneState(own, root),
    ])),
  )
  // Programs, which are CommonJS, use some modules without the main one.
  for (const id of modules.keys()) if (format === 'cjs' && isLight(id)) modules.delete(id)
  const elsewhere = { modules, file: `../${main}` }
  for (const [name, source] of late) {
    const plugins = [
      lateEntries(late, root, other => `./${basename(other)}.${ending}`),
      oneState(own, root, { elsewhere }),
    ]
    chunks.push(...(await single(format, `${name}.${ending}`, source, plugins)))
  }
  return [...chunks, ...(await others(format, elsewhere))]
}

function isLight(id: string): boolean {
  return LIGHT.includes(fileOf(id, root))
}

async function single(
  format: Format,
  file: string,
  source: string,
  plugins: Plugin[],
): Promise<OutputChunk[]> {
  const one = await bundle(format, { [file]: source }, plugins)
  return write(one, { ...CODE, format, entryFileNames: file, codeSplitting: false })
}

/** The modules beside the main one, and in CommonJS the programs. */
async function others(format: Format, elsewhere: Elsewhere): Promise<OutputChunk[]> {
  const ending = ENDING[format]
  const isModule = format === 'esm'
  const run = isModule ? {} : programs
  const entries = exported.filter(([name]) => name !== HOOK)
  const rest = await bundle(format, { ...inputs(entries), ...run }, [
    oneState(own, root, { elsewhere }),
  ])
  return write(rest, {
    ...CODE,
    format,
    entryFileNames: ({ name }) => `${name}.${name in run ? 'js' : ending}`,
    chunkFileNames: `lib/[name]-[hash].${ending}`,
    codeSplitting: {
      groups: [
        { name: 'light', test: id => isLight(id) && !elsewhere.modules.has(id) },
        // In modules it has the little, too, that all need.
        {
          name: 'core',
          test: id => elsewhere.modules.has(id) || (isModule && id.startsWith('\0')),
        },
      ],
    },
  })
}

function bundle(
  format: Format,
  input: Record<string, string>,
  plugins: Plugin[],
): Promise<RolldownBuild> {
  const isModule = format === 'esm'
  return rolldown({
    input,
    cwd: root,
    platform: 'node',
    checks: QUIET,
    external: id => (!isModule && isBuiltin(id)) || OUTSIDE.includes(id),
    plugins: [
      // In a module what CommonJS packages require of Node is imported: bundlers cannot see a `require`.
      isModule && esmExternalRequirePlugin({ external: [/^node:/, ...builtinModules] }),
      replaced(root, known),
      lateRequire(),
      !isModule && loadedByRequire(OUTSIDE),
      ...plugins,
    ],
  })
}

/** The types of each build. */
async function types(format: Format): Promise<void> {
  const ending = format === 'esm' ? 'd.mts' : 'd.cts'
  const bundle = await rolldown({
    input: inputs([['index', 'index'], ...exported], declarations, '.d.ts'),
    cwd: declarations,
    platform: 'node',
    checks: QUIET,
    external: id => isBuiltin(id) || /^[a-z@]/.test(id),
    plugins: [dts({ dtsInput: true, emitDtsOnly: true })],
  })
  await write(bundle, {
    dir: dist,
    // The main module is `index.js`, so its types are these.
    entryFileNames: ({ name }) =>
      ending === 'd.mts' && name === 'index' ? 'index.d.ts' : `${name}.${ending}`,
    chunkFileNames: `lib/[name]-[hash].${ending}`,
  })
}

/** Programs of this repository that use the package. */
async function companions(): Promise<void> {
  const names = ['benchmarks', 'examples'].flatMap(folder =>
    readdirSync(join(root, folder))
      .filter(file => file.endsWith('.ts'))
      .map(file => `${folder}/${file.slice(0, -'.ts'.length)}`),
  )
  const published = new Map([
    [join(root, 'index.ts'), '../index.js'],
    ...exported.map(([name, source]) => [join(root, `${source}.ts`), `../${name}.mjs`] as const),
  ])
  const bundle = await rolldown({
    input: inputs(names.map(name => [name, name])),
    cwd: root,
    platform: 'node',
    checks: QUIET,
    external: id => isBuiltin(id) || /^[a-z@]/.test(id),
    plugins: [
      {
        name: 'published',
        async resolveId(id, importer) {
          const found = importer && (await this.resolve(id, importer))
          const file = found && published.get(found.id)
          return file ? { id: file, external: true } : undefined
        },
      },
      replaced(root, known),
      oneState(own, root),
    ],
  })
  await write(bundle, {
    dir: dist,
    format: 'esm',
    sourcemap: true,
    // Each stays a file of its own, as some start others that are beside them; so do the parts of ours that only they
    // use.
    preserveModules: true,
    preserveModulesRoot: root,
    entryFileNames: ({ name }) => (names.includes(name) ? `${name}.js` : `benchmarks/${name}.js`),
  })
}

async function write(bundle: RolldownBuild, options: OutputOptions): Promise<OutputChunk[]> {
  const { output } = await bundle.write(options)
  await bundle.close()
  const chunks = output.filter(file => file.type === 'chunk')
  if (options.sourcemap) for (const { fileName } of chunks) toAscii(join(options.dir!, fileName))
  return chunks
}

/** The characters that are not ASCII. */
const WIDE = /[^\0-\x7F]/g

/**
 * Escapes the characters of a file of code that are not ASCII, and moves its source map along. V8 keeps a text with one
 * such character in twice the memory: 0.5 MB, and a collection of garbage, when a program loads our main module.
 */
function toAscii(file: string): void {
  const lines = readFileSync(file, 'utf8').split('\n')
  const wide = lines.map(line => Array.from(line.matchAll(WIDE), ({ index }) => index))
  if (wide.every(line => line.length === 0)) return
  writeFileSync(file, lines.map(line => line.replaceAll(WIDE, escaped)).join('\n'))

  const path = `${file}.map`
  const map = JSON.parse(readFileSync(path, 'utf8')) as { mappings: string }
  const mappings = decode(map.mappings)
  mappings.forEach((segments, line) => {
    for (const segment of segments) {
      const before = wide[line]!.filter(column => column < segment[0]).length
      segment[0] += before * (escaped('\x80').length - 1)
    }
  })
  writeFileSync(path, JSON.stringify({ ...map, mappings: encode(mappings) }))
}

/** A unit of UTF-16 as strings, templates and regular expressions may have it. */
function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** The licences of the packages that are in our files, as these ask for. */
function licences(chunks: readonly OutputChunk[]): string {
  const folders = chunks
    .flatMap(({ moduleIds }) => moduleIds)
    .flatMap(id => /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id) ?? [])
  const texts = [...new Set(folders)].toSorted().map(folder => {
    const { name, version } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    ) as Package
    const file = readdirSync(folder).find(file => /^licen[cs]e/i.test(file))
    const text = file ? readFileSync(join(folder, file), 'utf8').trim() : ''
    if (!text) throw new Error(`${name} has no licence beside it`)
    return `${name} ${version}\n\n${text}\n`
  })
  return texts.join(`\n${'-'.repeat(72)}\n\n`)
}

/** Writes the declarations that the types are bundled from. */
function declare(): void {
  rmSync(declarations, { recursive: true, force: true })
  const compiler = join(root, 'node_modules', '@typescript', 'native', 'bin', 'tsc')
  const project = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', declarations]
  execFileSync(process.execPath, [compiler, ...project], { cwd: root, stdio: 'inherit' })
}

rmSync(dist, { recursive: true, force: true })
if (!given) declare()
const chunks = [...(await build('esm')), ...(await build('cjs'))]
writeFileSync(join(dist, 'lib/package.json'), '{ "type": "commonjs" }\n')
if (!given) {
  writeFileSync(join(dist, 'licences.txt'), licences(chunks))
  await types('esm')
  await types('cjs')
  await companions()
}
