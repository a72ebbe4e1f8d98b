import { test } from 'tap'
import { bundled, type Bundler } from './fixtures/bundled.ts'

const rollup: Bundler = {
  packages: [
    'rollup@4',
    '@rollup/plugin-commonjs@29',
    '@rollup/plugin-json@6',
    '@rollup/plugin-node-resolve@16',
  ],
  script: `
    import { rollup } from 'rollup'
    import commonjs from '@rollup/plugin-commonjs'
    import json from '@rollup/plugin-json'
    import { nodeResolve } from '@rollup/plugin-node-resolve'
    export async function bundle({ entry, formats, folder }) {
      const plugins = [
        nodeResolve({ exportConditions: ['node'], preferBuiltins: true }),
        // Required by undici within a try, out of which this tool moves it.
        commonjs({ ignore: ['node:sqlite'] }),
        json(),
      ]
      const made = await rollup({ input: entry, plugins })
      for (const format of formats) {
        const ending = format === 'esm' ? 'mjs' : 'cjs'
        await made.write({
          dir: folder,
          format,
          entryFileNames: 'app.' + ending,
          chunkFileNames: '[name]-[hash].' + ending,
        })
      }
    }
  `,
  expected:
    /^Circular dependency: |^"undici" is imported by .* treating it as an external dependency/,
}

test('rollup bundles the package', t => bundled(t, rollup))
