import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import t from 'tap'
import { LineSplitter } from '../../lib/wire/splitter.ts'
import { LineReader, MAX_LINE } from '../../lib/wire/lines.ts'

const EPROTO = { code: 'EPROTO', reason: 'EPROTOCOL' }

/** A line of so many bytes, its end not counted. */
const lineOf = (length: number) => `${'x'.repeat(length)}\n`

t.test('a stream of lines is split as its bytes come', async t => {
  const reader = new LineReader()
  const splitter = new LineSplitter(reader)
  const got: string[][] = []
  splitter.on('data', (lines: string[]) => got.push(lines))
  const bytes = Buffer.from('one\ntwo\nthr€e\n')
  for (const byte of bytes.subarray(0, 11)) splitter.write(Buffer.from([byte]))
  t.ok(reader.partial, 'half a character is half a line')
  splitter.write(bytes.subarray(11))
  t.notOk(reader.partial)
  splitter.end()
  await once(splitter, 'end')

  t.strictSame(got, [['one'], ['two'], ['thr€e']])
})

t.test('one chunk gives one array of lines', async t => {
  const splitter = new LineSplitter()
  splitter.write('one\ntwo\nth')

  t.strictSame(splitter.read(), ['one', 'two'])
  t.equal(splitter.read(), null)
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
