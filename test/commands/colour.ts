import { test, type Test } from 'tap'
import { colour } from '../../lib/commands/colour.ts'

/** A variable of the environment, until the test ends. */
function set(t: Test, name: string, value?: string): void {
  const before = process.env[name]
  const put = (text?: string) => {
    if (text === undefined) delete process.env[name]
    else process.env[name] = text
  }
  put(value)
  t.teardown(() => put(before))
}

const stream = (isTTY: boolean, colours = true) =>
  ({ isTTY, hasColors: () => colours }) as unknown as NodeJS.WriteStream

test('colours are for terminals that have any, unless told otherwise', async t => {
  const RED = '\u001B[31mx\u001B[39m'
  const cases: [
    isTTY: boolean,
    has: boolean,
    forced?: string | undefined,
    none?: string | undefined,
    text?: string,
  ][] = [
    [true, true, undefined, undefined, RED],
    [true, false],
    [false, true],
    [true, true, undefined, '1'],
    [true, true, undefined, '', RED],
    [false, true, '1', undefined, RED],
    [false, true, '', undefined, RED],
    [false, true, '1', '1', RED],
    [true, true, '0'],
    [true, true, 'false'],
  ]
  for (const [isTTY, has, forced, none, text = 'x'] of cases) {
    set(t, 'FORCE_COLOR', forced)
    set(t, 'NO_COLOR', none)
    t.equal(
      colour('red', 'x', stream(isTTY, has)),
      text,
      JSON.stringify([isTTY, has, forced, none]),
    )
  }
})

test('the terminal is that of the output', async t => {
  set(t, 'FORCE_COLOR')
  t.intercept(process.stdout, 'isTTY', { value: false })
  t.equal(colour('bold', 'x'), 'x')
})
