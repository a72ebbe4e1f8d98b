import { deepStrictEqual } from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import { LineSplitter, MAX_LINE, split } from '../lib/lines.ts'

const EPROTO = { code: 'EPROTO', reason: 'EPROTOCOL' }

const lines = fc.array(
  fc.string({ unit: 'grapheme', maxLength: 60 }).filter(line => !line.includes('\n')),
)

/** The lines of `bytes`, which come in `chunks`. */
function splitAll(chunks: Buffer[]): { lines: string[]; rest: Buffer } {
  const lines: string[] = []
  let rest: Buffer = Buffer.alloc(0)
  for (const chunk of chunks) {
    const got = split(Buffer.concat([rest, chunk]))
    lines.push(...got.lines)
    rest = got.rest
  }
  return { lines, rest }
}

/** A line of so many bytes, its end not counted. */
const lineOf = (length: number) => `${'x'.repeat(length)}\n`

t.test('bytes give the same lines wherever they are cut', async () => {
  fc.assert(
    fc.property(lines, lines, fc.array(fc.nat()), (whole, half, cuts) => {
      const rest = half.join('')
      const bytes = Buffer.from(whole.map(line => `${line}\n`).join('') + rest)
      const at = cuts.map(cut => cut % (bytes.length + 1)).toSorted((a, b) => a - b)
      const chunks = [0, ...at].map((start, n) => bytes.subarray(start, at[n] ?? bytes.length))

      deepStrictEqual(splitAll(chunks), { lines: whole, rest: Buffer.from(rest) })
    }),
  )
})

t.test('every single cut of many-byte characters gives the same lines', async t => {
  const bytes = Buffer.from('ö€𝄞\n\n👩‍🚀 \u0000\r\nhalf 𝄞')
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { lines, rest } = splitAll([bytes.subarray(0, cut), bytes.subarray(cut)])
    t.strictSame([...lines, rest.toString()], ['ö€𝄞', '', '👩‍🚀 \u0000\r', 'half 𝄞'])
  }
})

t.test('a line may have 4,096 bytes and no more, however it is cut', async t => {
  const fits = ['x'.repeat(MAX_LINE), '€'.repeat(1365), 'ö'.repeat(2048), '𝄞'.repeat(1024)]
  for (const line of fits) {
    t.strictSame(split(Buffer.from(`${line}\n`)).lines, [line])
    t.equal(split(Buffer.from(line)).rest.length, Buffer.byteLength(line), 'not ended yet')
    const over = Buffer.from(`${line}€`)
    t.throws(() => split(over), {
      ...EPROTO,
      message: /a line of at most 4096 bytes, got a longer/,
    })
    t.throws(() => split(Buffer.from(`a\n${line}€\nb\n`)), EPROTO)
  }
})

t.test('a stream of lines is split as its bytes come', async t => {
  const splitter = new LineSplitter()
  const got: string[][] = []
  splitter.on('data', (lines: string[]) => got.push(lines))
  const bytes = Buffer.from('one\ntwo\nthr€e\n')
  for (const byte of bytes.subarray(0, 11)) splitter.write(Buffer.from([byte]))
  t.ok(splitter.partial, 'half a character is half a line')
  splitter.write(bytes.subarray(11))
  t.notOk(splitter.partial)
  splitter.end()
  await once(splitter, 'end')

  t.strictSame(got, [['one'], ['two'], ['thr€e']])
})

t.test('one chunk gives one array of lines', async t => {
  const splitter = new LineSplitter()
  splitter.write('one\ntwo\nth')

  t.strictSame(splitter.read(), ['one', 'two'])
  t.equal(splitter.read(), null)
  t.ok(splitter.partial)
})

t.test('a stream fails on a line that is too long, ended or not', async t => {
  for (const chunk of [lineOf(MAX_LINE + 1), 'x'.repeat(MAX_LINE + 1)]) {
    const splitter = new LineSplitter()
    splitter.write(chunk)
    const [error] = (await once(splitter, 'error')) as [Error]
    t.match(error, EPROTO)
    t.ok(splitter.destroyed)
  }
})
