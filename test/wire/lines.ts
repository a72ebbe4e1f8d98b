import { deepStrictEqual } from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import t from 'tap'
import { LineReader, MAX_LINE, split } from '../../lib/wire/lines.ts'

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

t.test('a reader remembers what no line has ended yet', async t => {
  const reader = new LineReader()
  t.strictSame(reader.read(Buffer.from('one\ntwo\nth')), ['one', 'two'])
  t.ok(reader.partial)
  t.strictSame(reader.read(Buffer.from('ree\n')), ['three'])
  t.notOk(reader.partial)
  t.throws(() => reader.read(Buffer.from('x'.repeat(MAX_LINE + 1))), EPROTO)
})
