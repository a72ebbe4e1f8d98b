import t from 'tap'
import { choose } from '../lib/resolution.ts'
import { parse } from '../lib/name.ts'

const endpoint = (port: number) =>
  ({ transport: 'tcp', address: '127.0.0.1', port, version: '1.0.0', instance: `${port}` }) as const
const found = {
  name: parse('web'),
  host: '',
  ttl: 1,
  endpoints: [endpoint(1), endpoint(2), endpoint(3)],
}
const ports = ({ endpoints }: typeof found) => endpoints.map(({ port }) => port)

t.test('what is selected is the best', async t => {
  t.equal(choose(found, undefined), found)
  const last = choose(found, endpoints => endpoints.at(-1)!)
  t.strictSame(ports(last as typeof found), [3, 1, 2])
  t.strictSame(ports(found), [1, 2, 3])
})

t.test('what is not there cannot be selected', async t => {
  const invalid = { code: 'ERR_INVALID_ARG_VALUE' }
  t.throws(() => choose(found, () => endpoint(4)), {
    ...invalid,
    message: /options\.select to give one of the endpoints, got \{"transport":"tcp".*"port":4,/,
  })
  const nothing = () => undefined as never
  t.throws(() => choose(found, nothing), { ...invalid, message: /got undefined$/ })
})
