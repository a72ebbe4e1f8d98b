import { test } from 'tap'
import { bundled, type Bundler } from './fixtures/bundled.ts'

// A CommonJS package in a module needs a `require`, as the documentation of esbuild has it.
const esbuild: Bundler = {
  packages: ['esbuild@0.28'],
  script: `
    import { build } from 'esbuild'
    const banner = "import { createRequire as make } from 'node:module';const require = make(import.meta.url);"
    export async function bundle({ entry, formats, folder, isWhole }) {
      for (const format of formats) await build({
        entryPoints: [entry],
        bundle: true,
        minify: isWhole,
        platform: 'node',
        format,
        outfile: folder + (format === 'esm' ? '/app.mjs' : '/app.cjs'),
        banner: { js: isWhole && format === 'esm' ? banner : '' },
        logLevel: 'warning',
      })
    }
  `,
}

test('esbuild bundles the package', t => bundled(t, esbuild))
