import { execFileSync } from 'node:child_process'
import { readFile, readdir, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { test } from 'tap'
import { Folder, packed } from './fixtures/folder.ts'

interface Package {
  readonly bin: Record<string, string>
  readonly man: readonly string[]
  readonly main: string
  readonly types: string
  readonly exports: Record<string, unknown>
  readonly sideEffects: readonly string[]
}

interface SourceMap {
  readonly sources: readonly string[]
  readonly sourcesContent?: readonly (string | null)[]
}

test('the packed file', async t => {
  const tarball = await packed(t)
  const { path } = await Folder.empty(t)
  execFileSync('tar', ['-xzf', tarball, '-C', path])
  const root = join(path, 'package')
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries
    .filter(entry => entry.isFile())
    .map(entry => relative(root, join(entry.parentPath, entry.name)))
  const { size } = await stat(tarball)
  t.comment(`${files.length} files, ${size} bytes packed`)
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Package

  await t.test('has all that package.json speaks of', async t => {
    const { bin, man, main, types, exports, sideEffects } = own
    const spoken = [...Object.values(bin), ...man, main, types, ...leaves(exports), ...sideEffects]
    for (const file of spoken) t.ok(files.includes(file.replace(/^\.\//, '')), file)
    for (const file of Object.values(bin)) {
      const text = await readFile(join(root, file), 'utf8')
      t.match(text, /^#!\/usr\/bin\/env node\n/, file)
    }
    const { import: forImport, require: forRequire } = exports['.'] as Record<string, object>
    t.same(Object.keys(forImport!), ['types', 'default'], 'the types come first')
    t.same(Object.keys(forRequire!), ['types', 'default'])
  })

  await t.test('has nothing else', async t => {
    const known =
      /^(dist\/(index|lib\/)|dist\/licences\.txt|man\/|package\.json|LICENSE|[A-Z]+\.md|docs\/)/
    t.same(
      files.filter(file => !known.test(file)),
      [],
    )
  })

  const maps = new Map<string, SourceMap>()
  for (const file of files.filter(file => file.endsWith('.map'))) {
    maps.set(file, JSON.parse(await readFile(join(root, file), 'utf8')) as SourceMap)
  }

  await t.test('has a source map for each file of code', async t => {
    for (const file of files.filter(file => /\.[cm]?js$/.test(file))) {
      const text = await readFile(join(root, file), 'utf8')
      const [, name] = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(text) ?? []
      if (name) t.ok(maps.has(join(dirname(file), name)), file)
      else t.ok(text.length < 2_000, `${file} passes on what others have`)
    }
  })

  await t.test('its source maps need nothing else', async t => {
    for (const [file, { sources, sourcesContent = [] }] of maps) {
      const found = sources.map(source => join(dirname(file), source))
      t.same(
        found.filter(source => source.startsWith('..')),
        [],
        `${file} stays inside`,
      )
      t.ok(sources.length > 0 && sources.every((_, i) => sourcesContent[i]), `${file} is whole`)
    }
  })

  const sources = [...maps.values()].flatMap(map => map.sources)
  const copied = new Set(
    sources.flatMap(source => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? []),
  )

  await t.test('has no copy of debug', async t => {
    t.notOk(copied.has('debug') || copied.has('ms'))
  })

  await t.test('has the licences of what it has copies of', async t => {
    const licences = await readFile(join(root, 'dist/licences.txt'), 'utf8')
    t.ok(copied.has('readable-stream'))
    for (const name of copied) t.match(licences, new RegExp(`^${name} \\d`, 'm'), name)
  })
})

/** The files that a tree of conditions leads to. */
function leaves(tree: unknown): string[] {
  return typeof tree === 'string' ? [tree] : Object.values(tree as object).flatMap(leaves)
}
