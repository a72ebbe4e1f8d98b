import fc from 'fast-check'
import { test } from 'tap'
import { MAX_DEPTH, MAX_FILE, parseYaml } from '../../lib/policy/yaml.ts'

test('a text is read as YAML or JSON, and its lines are known', async t => {
  const { document, lineOf, wrong } = parseYaml('# ports\ntie: 1\nwing: { port: 2 }')
  t.same(document.toJS(), { tie: 1, wing: { port: 2 } })
  t.same([0, 8, 15, 1_000].map(lineOf), [1, 2, 3, 3])
  t.equal(wrong, undefined)
  t.same(parseYaml('{"tie": [1]}').document.toJS(), { tie: [1] })
  t.equal(parseYaml('').lineOf(0), 1)
})

test('what is wrong with a text is told with its line, shortly', async t => {
  t.match(parseYaml('tie: 1\nwing: [').wrong, { line: 2, message: /end with a \]/ })
  t.match(parseYaml('tie: !star 1').wrong, { line: 1, message: /tag/ })
  t.ok(parseYaml('|'.repeat(MAX_FILE)).wrong!.message.length <= 200)
})

test('lists and maps nest only so deep, however they are written', async t => {
  const deep: [what: string, text: string, line?: number][] = [
    ['flow lists', '['.repeat(MAX_FILE)],
    ['flow maps', '{"a":'.repeat(MAX_FILE / 5)],
    ['block lists', '- '.repeat(MAX_FILE / 2)],
    ['block maps', Array.from({ length: 300 }, (_, at) => `${' '.repeat(at)}a:`).join('\n'), 16],
    ['keys', '? '.repeat(MAX_FILE / 2)],
    ['lists on a later line', `a: 1\nb: ${'['.repeat(99)}`, 2],
  ]
  for (const [what, text, line = 1] of deep) {
    const message = `expected at most ${MAX_DEPTH} lists and maps in each other`
    t.match(parseYaml(text).wrong, { line, message }, what)
  }
  t.equal(parseYaml('[[[[[[[[1]]]]]]]]').wrong, undefined, 'half as deep is fine')
})

test('no text throws', async t => {
  const bits = fc.constantFrom(
    ...'[]{},:-?*&!|>#%@`"\'\n \t0ax\\'.split(''),
    '---\n',
    '<<: ',
    '...\n',
  )
  const texts = fc.array(bits, { maxLength: 60 }).map(parts => parts.join(''))
  fc.assert(
    fc.property(texts, text => void parseYaml(text)),
    { numRuns: 2_000 },
  )
  t.pass('all were read or refused')
})
