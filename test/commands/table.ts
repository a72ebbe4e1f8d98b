import { test } from 'tap'
import { table } from '../../lib/commands/table.ts'

test('columns are as wide as their widest, and nothing trails', async t => {
  const rows = [
    ['starwars', 1, true],
    ['x', 20_000, ''],
  ]
  t.same(table(rows, ['NAME', 'PORT', 'SHARED']).split('\n'), [
    'NAME      PORT   SHARED',
    'starwars  1      true',
    'x         20000',
  ])
})

test('characters that take two columns are counted as two, and marks as none', async t => {
  t.equal(
    table([
      ['\u65E5\u672C', 1],
      ['e\u0301', 2],
      ['abcde', 3],
    ]),
    '\u65E5\u672C   1\ne\u0301      2\nabcde  3',
  )
})

test('there need be neither a head nor a row', async t => {
  t.equal(table([['port', 6664]]), 'port  6664')
  t.equal(table([], ['NAME', 'PORT']), 'NAME  PORT')
})

test('what others have written cannot steer the terminal', async t => {
  t.equal(table([['version', '1\u0007']]), 'version  1')
})
