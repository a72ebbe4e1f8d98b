import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { daemon } from '../fixtures/daemon.ts'
import { lines, type Lines, type Message } from '../fixtures/lines.ts'

const protocol = readFileSync(new URL('../../PROTOCOL.md', import.meta.url), 'utf8')
const [, vectors = '', ranges = '', versions = ''] = protocol.split(
  /^##+ (?:Test vectors|Ranges|Versions)$/m,
)

/** The rows of the table in `text`: what stands in backquotes in two columns. Markdown wants `|` escaped. */
function rows(text: string): [first: string, second: string][] {
  return [...text.matchAll(/^\| `(.*)` \| `(.*)` \|$/gm)].map(([, first, second]) => [
    first!.replaceAll('\\|', '|'),
    second!,
  ])
}

/** Asks over a connection of its own; whoever has asked may ask more. */
async function ask(t: Test, port: number, question: object): Promise<Lines & { told: Message }> {
  const connection = await lines(t, port)
  connection.ask(question)
  return { ...connection, told: (await connection.answer())! }
}

/** The version in `answer`, or the code of a refusal. */
function versionIn({ error, endpoints, services }: Message): unknown {
  const { code } = (error ?? {}) as Message
  return code ?? ((endpoints ?? services) as Message[])[0]!.version
}

/** Registers `services` over one connection. */
async function registered(t: Test, port: number, services: readonly object[]): Promise<void> {
  const holder = await lines(t, port)
  for (const service of services) {
    holder.ask(service)
    t.match(await holder.answer(), { registration: Number })
  }
}

const isFatal = ({ error }: Message) =>
  ['EPROTOCOL', 'ENAME'].includes((error as Message | undefined)?.code as string)

t.test('each operation is written up', async t => {
  const source = readFileSync(new URL('../../lib/wire/protocol.ts', import.meta.url), 'utf8')
  const ops = [...source.matchAll(/^ {2}readonly op: '(\w+)'$/gm)].map(([, op]) => op!)
  t.ok(ops.includes('resolve'))
  for (const op of ops.filter(op => op !== 'unknown')) t.match(protocol, `\n### \`${op}\`: `, op)
})

t.test('each question of the table has the answer that stands beside it', async t => {
  const { port } = await daemon(t)
  const told = [...vectors.matchAll(/^ {4}→ (\{.*\})$/gm)]
  await registered(
    t,
    port,
    told.map(([, text]) => JSON.parse(text!) as object),
  )
  const table = rows(vectors)
  t.equal(table.length, 62)
  for (const [question, answer] of table) {
    const one = await ask(t, port, JSON.parse(question) as object)
    const any = (_key: string, value: unknown) => (value === '…' ? /./ : value)
    t.match(one.told, JSON.parse(answer, any) as object, question)
    t.match(one.told, { v: 1, id: 1 })
    if (!isFatal(one.told)) one.ask({ id: 2, op: 'resolve', service: 'starwars' })
    const next = await one.answer()
    t.equal(next?.id, isFatal(one.told) ? undefined : 2)
    one.socket.destroy()
  }
})

t.test('each range finds the version that stands beside it', async t => {
  const { port } = await daemon(t)
  const [, list] = /offered as (.*), a daemon/s.exec(ranges)!
  const offered = list!.split(/,\s|\sand\s/)
  t.equal(offered.length, 7)
  const offer = { op: 'register', service: 'a', transport: 'tcp', port: 1 }
  await registered(
    t,
    port,
    offered.map(version => ({ ...offer, version })),
  )
  const table = rows(ranges)
  t.equal(table.length, 25)
  for (const [range, expected] of table) {
    const question = { op: 'resolve', service: 'a', version: JSON.parse(range) as string }
    const { told } = await ask(t, port, question)
    t.equal(versionIn(told), expected, range)
  }
})

t.test('each version is registered as what stands beside it', async t => {
  const { port } = await daemon(t)
  const table = rows(versions)
  t.equal(table.length, 11)
  for (const [n, [version, expected]] of table.entries()) {
    const offer = { op: 'register', transport: 'tcp', port: 1, namespace: `n${n}`, service: 'a' }
    const { told, ...holder } = await ask(t, port, {
      ...offer,
      version: JSON.parse(version) as string,
    })
    holder.ask({ op: 'list', namespace: `n${n}` })
    const found = told.error ? told : (await holder.answer())!
    t.equal(versionIn(found), expected, version)
  }
})
