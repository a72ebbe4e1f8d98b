// build [FOLDER]: makes `dist`, the package as it is published, and beside it the examples and benchmarks, which are
// not; in another folder only the code of the package, for a test.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { builtinModules, isBuiltin } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  rolldown,
  type OutputChunk,
  type OutputOptions,
  type Plugin,
  type RolldownBuild,
} from 'rolldown'
import { dts } from 'rolldown-plugin-dts'
import { esmExternalRequirePlugin } from 'rolldown/plugins'
import { shape } from '../lib/commands/shape.ts'
import { lateRequire, loadedByRequire, oneState, replaced } from './plugins.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const given = process.argv[2]
const dist = given ? resolve(given) : join(root, 'dist')
const declarations = join(root, 'node_modules', '.cache', 'declarations')

interface Package {
  name: string
  version: string
  engines: { node: string }
  exports: Record<string, string | { import: { default: string } }>
}

const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package

/** The packages that a program brings itself, and `debug`, of which it must have one copy only. */
const OUTSIDE = ['debug', 'undici', 'ioredis', '@grpc/grpc-js']

/** The modules that are data once this is built: the version, and the words that completion knows. */
const known = {
  'lib/commands/version.ts': `export const version = ${JSON.stringify(own.version)}
    export const engines = ${JSON.stringify(own.engines)}`,
  'lib/commands/shape.ts': `export const shape = async () => (${JSON.stringify(await shape())})`,
}

/** The sources of what `package.json` exports, without their ending. */
const exported = Object.values(own.exports).flatMap(entry =>
  typeof entry === 'string' ? [] : [entry.import.default.slice('./dist/'.length, -'.js'.length)],
)

/** The files that are run, by Node itself. */
const programs = {
  ...inputs(['lib/cli', 'lib/monikerd']),
  'lib/thread': join(root, 'lib/registration/thread.ts'),
}

/** A machine that is busy is no fault of the build. */
const QUIET = { bundlerTimings: false } as const

function inputs(names: readonly string[], folder = root, ending = '.ts'): Record<string, string> {
  return Object.fromEntries(names.map(name => [name, join(folder, name + ending)]))
}

/** One of two builds, for `import` and for `require`, over one state. */
async function build(format: 'esm' | 'cjs'): Promise<OutputChunk[]> {
  const isModule = format === 'esm'
  const ending = isModule ? 'js' : 'cjs'
  const core = new Set<string>()
  const daemon = new Set<string>()
  const commands = new Set<string>()
  const bundle = await rolldown({
    input: { ...inputs(exported), ...(isModule && programs) },
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
      oneState(own, root),
      closure(core, 'index.ts'),
      closure(
        daemon,
        'lib/registration/embedded.ts',
        'lib/daemon/daemon.ts',
        'lib/registration/takeover.ts',
      ),
      closure(
        commands,
        'lib/commands/run.ts',
        'lib/commands/register.ts',
        'lib/commands/policy.ts',
      ),
    ],
  })
  return write(bundle, {
    dir: dist,
    format,
    sourcemap: true,
    exports: 'named',
    // Each program reads them when it starts; the sources are in the maps.
    comments: { annotation: true, legal: true, jsdoc: false },
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    entryFileNames: `[name].${ending}`,
    chunkFileNames: `lib/[name]-[hash].${ending}`,
    // What is needed at once is one file; what makes a process the daemon is another.
    codeSplitting: {
      groups: [
        { name: 'core', test: id => core.has(id) },
        // Commands that run no daemon do not load it for the modules that both use.
        { name: 'common', test: id => daemon.has(id) && commands.has(id) },
        { name: 'daemon', test: id => daemon.has(id) },
      ],
    },
  })
}

/** Fills `found` with the modules that these entries load at once. */
function closure(found: Set<string>, ...entries: string[]): Plugin {
  return {
    name: 'closure',
    buildEnd() {
      const visit = (id: string) => {
        const info = this.getModuleInfo(id)
        if (!info || found.has(id)) return
        found.add(id)
        info.importedIds.forEach(visit)
      }
      for (const entry of entries) visit(join(root, entry))
    },
  }
}

/** The types of each build. */
async function types(ending: 'd.ts' | 'd.cts'): Promise<void> {
  const bundle = await rolldown({
    input: inputs(exported, declarations, '.d.ts'),
    cwd: declarations,
    platform: 'node',
    checks: QUIET,
    external: id => isBuiltin(id) || /^[a-z@]/.test(id),
    plugins: [dts({ dtsInput: true, emitDtsOnly: true })],
  })
  await write(bundle, {
    dir: dist,
    entryFileNames: `[name].${ending}`,
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
  const published = new Map(exported.map(name => [join(root, `${name}.ts`), `../${name}.js`]))
  const bundle = await rolldown({
    input: inputs(names),
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
    // Each stays a file of its own, as some start others that are beside them; so do the parts of ours that only they use.
    preserveModules: true,
    preserveModulesRoot: root,
    entryFileNames: ({ name }) => (names.includes(name) ? `${name}.js` : `benchmarks/${name}.js`),
  })
}

async function write(bundle: RolldownBuild, options: OutputOptions): Promise<OutputChunk[]> {
  const { output } = await bundle.write(options)
  await bundle.close()
  return output.filter(file => file.type === 'chunk')
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

/** What the types are bundled from. */
function declare(): void {
  rmSync(declarations, { recursive: true, force: true })
  const compiler = join(root, 'node_modules', '@typescript', 'native', 'bin', 'tsc')
  const project = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', declarations]
  execFileSync(process.execPath, [compiler, ...project], { cwd: root, stdio: 'inherit' })
}

rmSync(dist, { recursive: true, force: true })
if (!given) declare()
const chunks = [...(await build('esm')), ...(await build('cjs'))]
if (!given) {
  writeFileSync(join(dist, 'licences.txt'), licences(chunks))
  await types('d.ts')
  await types('d.cts')
  await companions()
}
