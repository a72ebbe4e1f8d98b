import { test } from 'tap'
import { bundled, type Bundler } from './fixtures/bundled.ts'

const webpack: Bundler = {
  packages: ['webpack@5'],
  script: `
    import webpack from 'webpack'
    export async function bundle({ entry, formats, folder }) {
      const compiler = webpack(formats.map(format => configuration(entry, format, folder)))
      const stats = await new Promise((resolve, reject) =>
        compiler.run((error, stats) => (error ? reject(error) : resolve(stats))),
      )
      const { errors, warnings } = stats.toJson()
      for (const { message } of [...errors, ...warnings]) console.log(message.split('\\n')[0])
      if (stats.hasErrors()) process.exitCode = 1
    }
    function configuration(entry, format, folder) {
      const isModule = format === 'esm'
      const ending = isModule ? 'mjs' : 'cjs'
      return {
        entry,
        target: 'node20',
        mode: 'production',
        optimization: { minimize: false },
        experiments: { outputModule: isModule },
        output: {
          path: folder,
          filename: 'app.' + ending,
          chunkFilename: '[name].' + ending,
          module: isModule,
          chunkFormat: isModule ? 'module' : 'commonjs',
          library: { type: isModule ? 'module' : 'commonjs2' },
        },
      }
    }
  `,
  expected: /^Module not found: Error: Can't resolve '(undici|supports-color)'/,
}

test('webpack bundles the package', t => bundled(t, webpack))
