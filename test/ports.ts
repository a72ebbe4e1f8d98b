import t, { type Test } from 'tap'
import { portRange, shuffled } from '../lib/ports.ts'

function setRange(t: Test, text: string | undefined): void {
  t.teardown(() => delete process.env.MONIKER_PORTS)
  if (text === undefined) delete process.env.MONIKER_PORTS
  else process.env.MONIKER_PORTS = text
}

t.test('the range of ports is in MONIKER_PORTS, if it is set', async t => {
  const table = [
    [undefined, undefined],
    ['', undefined],
    ['20000-20999', { first: 20_000, last: 20_999 }],
    ['1-65535', { first: 1, last: 65_535 }],
    ['7-7', { first: 7, last: 7 }],
  ] as const
  for (const [text, range] of table) {
    setRange(t, text)
    t.same(portRange(), range, `${text}`)
  }
  for (const text of [
    '7',
    '0-7',
    '8-7',
    '1-65536',
    '1-',
    '-7',
    '1-2-3',
    'a-b',
    '1-999999',
    ' 1-2',
  ]) {
    setRange(t, text)
    const message = `ERR_INVALID_ARG_VALUE: expected MONIKER_PORTS to be a range of ports such as 20000-20999, got "${text}"`
    t.throws(portRange, { message }, text)
  }
})

t.test('the ports of a range come in random order, each once', async t => {
  const range = { first: 5, last: 104 }
  const one = [...shuffled(range)]
  const sorted = Array.from({ length: 100 }, (_, index) => index + 5)
  t.same(
    one.toSorted((a, b) => a - b),
    sorted,
  )
  t.notSame(one, sorted)
  t.notSame([...shuffled(range)], one)
})
