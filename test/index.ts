import net from 'node:net'
import { createRequire } from 'node:module'
import { test } from 'tap'
import * as named from '../index.ts'
import moniker from '../index.ts'

test('all of net is there, with ours on top', t => {
  for (const name of Object.keys(net)) t.ok(name in named, name)
  t.equal(moniker.isIP, net.isIP)
  t.equal(named.Socket, named.MonikerSocket)
  t.equal(named.Stream, named.MonikerSocket)
  t.equal(named.Server, named.MonikerServer)
  t.equal(named.createConnection, named.connect)
  t.not(named.connect, net.connect)
  t.end()
})

test('the default export is the same', t => {
  const { default: _, ...all } = named
  t.same(
    Object.keys(moniker)
      .filter(name => name !== 'default')
      .sort(),
    Object.keys(all).sort(),
  )
  for (const [name, value] of Object.entries(all)) {
    t.equal((moniker as Record<string, unknown>)[name], value, name)
  }
  t.end()
})

test('names are parsed and formatted', t => {
  t.equal(moniker.format(moniker.parse('ns:starwars@^1')), 'ns:starwars@^1')
  t.equal(
    moniker.formatURI(moniker.parseURI('starwars://theforce.net/a')),
    'starwars://theforce.net/a',
  )
  t.end()
})

test('a package that is published has what its map says', t => {
  const { exports, bin, name } = createRequire(import.meta.url)('../package.json') as {
    name: string
    exports: Record<string, unknown>
    bin: Record<string, string>
  }
  t.equal(name, 'moniker-net')
  t.same(Object.keys(exports), [
    '.',
    './promises',
    './daemon',
    './http',
    './undici',
    './grpc',
    './ioredis',
    './auto',
    './package.json',
  ])
  t.same(bin, {
    moniker: 'dist/lib/cli.js',
    // For npx, which calls what is named as the package.
    'moniker-net': 'dist/lib/cli.js',
    monikerd: 'dist/lib/monikerd.js',
  })
  t.end()
})
