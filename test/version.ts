import { equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import semver from 'semver'
import t from 'tap'
import { compareVersions, exactVersion, isRange, satisfies } from '../lib/version.ts'
import { ranges, versions } from './fixtures/names.ts'

t.test('a server gives an exact version, and none is 0.0.0', async t => {
  fc.assert(fc.property(versions, version => equal(exactVersion(version), version)))
  t.equal(exactVersion(''), '0.0.0')
  t.equal(exactVersion('v1.2.3'), '1.2.3')
  t.equal(exactVersion('1'), '1.0.0', 'its last zeros may be left off')
  t.equal(exactVersion('1.2'), '1.2.0')
  for (const range of ['1.x', '^1', '^1.0.0', '*', '>=1 <2', '1.2.3.4', '1-a', 'latest']) {
    const expected = { code: 'ERR_MONIKER_NAME', message: /expected a server to give an exact/ }
    t.throws(() => exactVersion(range), expected, range)
  }
})

t.test('a range is one to semver, within reason', async t => {
  fc.assert(
    fc.property(ranges, range => {
      ok(isRange(range))
      ok(semver.validRange(range) !== null)
    }),
  )
  for (const other of ['one', '1.2.3.4', ' '.repeat(129), 1, null, undefined]) {
    t.notOk(isRange(other), String(other))
  }
})

t.test('versions have an order', async t => {
  t.equal(compareVersions('1.2.0', '1.2.0'), 0)
  t.equal(compareVersions('1.2.0', '1.10.0'), -1)
  t.equal(compareVersions('1.2.0', '1.2.0-rc.1'), 1)
})

t.test('what is told without the package is what the package says', async () => {
  const parts = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3)).map(numbers => numbers.join('.'))
  const some = fc.oneof(versions, parts)
  fc.assert(
    fc.property(some, fc.oneof(ranges, some), (version, range) => {
      // To us no range is any version, those before a release included.
      const expected = range === '' || semver.satisfies(version, range)
      equal(satisfies(version, range), expected, `${version} in ${range}`)
    }),
  )
  equal(satisfies('1.2.0-rc.1', '1.2.0'), false, 'chance alone may never ask this')
  fc.assert(fc.property(some, some, (a, b) => equal(compareVersions(a, b), semver.compare(a, b))))
  const operators = fc.constantFrom('', '^', '~', '=', '<', '<=', '>', '>=')
  const lengths = fc.tuple(operators, fc.array(fc.nat(), { minLength: 1, maxLength: 4 }))
  fc.assert(
    fc.property(lengths, ([operator, numbers]) => {
      const text = operator + numbers.join('.')
      equal(isRange(text), semver.validRange(text) !== null, text)
    }),
  )
})
