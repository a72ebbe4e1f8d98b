import { test } from 'tap'
import { bundled, type Bundler } from './fixtures/bundled.ts'

// Later ones need Node 22.
const tsdown: Bundler = {
  packages: ['tsdown@0.21.10'],
  script: `
    import { build } from 'tsdown'
    export const bundle = ({ entry, formats, folder }) => build({
      entry: [entry],
      format: formats,
      platform: 'node',
      outDir: folder,
      deps: { alwaysBundle: [/./] },
      dts: false,
      // The time that it takes says nothing of the package.
      inputOptions: { checks: { pluginTimings: false } },
      config: false,
      logLevel: 'warn',
    })
  `,
}

test('tsdown bundles the package', t => bundled(t, tsdown))
