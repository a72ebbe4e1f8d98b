import { inherits } from 'node:util'
import { test } from 'tap'
import { callable } from '../../lib/node/callable.ts'

class Thing {}

class Point extends Thing {
  declare x: number
  constructor(x: number) {
    super()
    place(this, x)
  }
  get double() {
    return this.x * 2
  }
}

function place(point: Point, x: number) {
  point.x = x
}

test('a class is called with new, without it, and on an object of its own', async t => {
  const Both = callable(Point, (self, [x]) => place(self, x))
  t.equal(Both(2).double, 4)
  t.equal(new Both(3).double, 6)
  t.equal(Both.name, 'Point')
  t.equal(Both(2).constructor, Both)
  t.ok(Both(2) instanceof Both)
  t.ok(Both(2) instanceof Point)

  class Younger extends Both {}
  t.equal(new Younger(4).double, 8)
  t.ok(new Younger(4) instanceof Younger)
  t.notOk(new Both(4) instanceof Younger)

  function Older(this: Point, x: number) {
    Both.call(this, x)
  }
  inherits(Older, Both)
  t.equal((Reflect.construct(Older, [5]) as Point).double, 10)
})

test('what is an instance of the class that it extends is one of it', async t => {
  const Both = callable(Point, (self, [x]) => place(self, x))
  class Younger extends Both {}
  for (const [value, is] of [
    [new Thing(), true],
    [{}, false],
    [null, false],
  ] as const) {
    t.equal((value as unknown) instanceof Both, is)
    t.equal((value as unknown) instanceof Point, is)
    t.notOk((value as unknown) instanceof Younger)
  }
})
