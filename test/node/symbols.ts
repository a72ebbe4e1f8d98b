import t from 'tap'
import { symbolIn } from '../../lib/node/symbols.ts'

t.test('a symbol of an object is found by its description', t => {
  const [one, other] = [Symbol('one'), Symbol('other')]
  const object = { one: 0, [other]: 1, [one]: 2 }
  t.equal(symbolIn(object, 'one'), one)
  t.equal(symbolIn(object, 'none'), undefined)
  t.equal(symbolIn(Object.create(object) as object, 'one'), undefined)
  t.end()
})
