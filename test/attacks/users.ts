import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Daemon } from '../../lib/daemon/daemon.ts'
import { ProtectedNames } from '../../lib/policy/protected.ts'
import { UserTable } from '../../lib/policy/users.ts'
import { line, type Message } from '../fixtures/lines.ts'
import { scarce } from '../fixtures/scarce.ts'
import { siege } from '../fixtures/siege.ts'

const isRoot = process.platform === 'linux' && process.getuid?.() === 0
const root = { skip: !isRoot && 'only root can run programs as somebody else' }

/** The answer to a program of user `uid`. */
async function asked(t: Test, uid: number, port: number, question: object): Promise<Message> {
  const [answer] = await allAsked(t, uid, port, [question])
  return answer!
}

/** The answers to a program of user `uid` that asks each question over a connection of its own, and keeps them. */
async function allAsked(
  t: Test,
  uid: number,
  port: number,
  questions: object[],
): Promise<Message[]> {
  const program = `
    const { connect } = require('net')
    const ask = text => new Promise((resolve, reject) => {
      const socket = connect(${port}, '127.0.0.1').once('data', resolve).once('error', reject)
      socket.write(text)
    })
    const all = async () => {
      for (const text of ${JSON.stringify(questions.map(line))}) process.stdout.write(await ask(text))
    }
    all().finally(() => process.exit())`
  const child = spawn(process.execPath, ['-e', program], {
    uid,
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill())
  const lines = (await text(child.stdout)).trim().split('\n')
  return lines.map(each => JSON.parse(each) as Message)
}

/** A connection of a program of user `uid`, which is there until the test ends. */
function kept(t: Test, uid: number, port: number): { ask: (question: object) => Promise<Message> } {
  const program = `
    const socket = require('net').connect(${port}, '127.0.0.1')
    process.stdin.pipe(socket).pipe(process.stdout)`
  const child = spawn(process.execPath, ['-e', program], {
    uid,
    env: {},
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill())
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    ask: async question => {
      child.stdin.write(line(question))
      const { value } = await answers.next()
      return JSON.parse(value as string) as Message
    },
  }
}

t.test('one user does not get all names there are', root, async t => {
  const { port, othersAreServed } = await siege(t, { limits: { userNames: 2 } })
  const questions = ['x', 'y', 'z'].map(service => {
    return { op: 'register', service, transport: 'tcp', port: 1 }
  })
  const free = { registration: Number }
  const refused = { error: { code: 'ELIMIT', message: /user 12345 may hold 2 names/ } }
  t.match(await allAsked(t, 12_345, port, questions), [free, free, refused])
  t.match(await allAsked(t, 12_346, port, questions.slice(1)), [free, free], 'nor do others not')
  t.match(await allAsked(t, 0, port, questions), [free, free, free], 'and root gets any')
  await othersAreServed()
})

t.test('the namespace of another user is not to be had', root, async t => {
  const { daemon, port, othersAreServed } = await siege(t)
  const register = { op: 'register', service: 'x', transport: 'tcp', port: 1 }
  const others = [...new UserTable().users].filter(([, uids]) => !uids.has(0)).slice(0, 2)
  const [[one, uids] = ['', new Set([0])], [other] = ['']] = others
  const [uid] = uids
  for (const namespace of ['root', other]) {
    t.match(await asked(t, uid!, port, { ...register, namespace }), {
      error: { code: 'EDENIED', message: new RegExp(`is that of user ${namespace}`) },
    })
  }
  t.match(await asked(t, uid!, port, { ...register, namespace: one }), { registration: Number })
  t.match(await asked(t, 0, port, { ...register, namespace: one }), { registration: Number })
  t.match(await asked(t, 12_345, port, { ...register, namespace: one }), {
    error: { code: 'EDENIED' },
  })
  t.match(await asked(t, 12_345, port, register), { registration: Number }, 'the plain one is')
  t.match(daemon.status(), { refused: 3 })
  await othersAreServed()
})

t.test('nor is it while connections take all descriptors that they can have', root, async t => {
  const { port } = await scarce(t, 64)
  const held = Array.from({ length: 200 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  t.teardown(() => held.forEach(socket => socket.destroy()))
  await Promise.all(held.map(socket => once(socket, 'connect')))
  const register = { op: 'register', service: 'x', transport: 'tcp', port: 1 }
  const others = [...new UserTable().users].filter(([, uids]) => !uids.has(0))
  const [[namespace, uids] = ['', new Set<number>()]] = others
  const [uid] = uids
  t.match(await asked(t, 12_345, port, { ...register, namespace }), {
    error: { code: 'EDENIED', message: new RegExp(`is that of user ${namespace}`) },
  })
  t.match(await asked(t, uid!, port, { ...register, namespace }), { registration: Number })
  t.match(await asked(t, 12_345, port, register), { registration: Number })
})

const table = {
  skip: root.skip || (!new ProtectedNames().of('ssh') && 'ssh is for everybody here'),
}

t.test('a well-known name of a shared host is not to be had', table, async t => {
  const { port, othersAreServed } = await siege(t)
  const register = { op: 'register', service: 'SSH', transport: 'tcp', port: 1 }
  t.match(await asked(t, 12_345, port, register), {
    error: { code: 'EDENIED', message: /port 22, .*allow: publish/ },
  })
  t.match(await asked(t, 0, port, register), { registration: Number })
  const embedded = new Daemon({ port: 0, hosts: ['127.0.0.1'], embedded: true })
  await embedded.start()
  t.teardown(() => embedded.stop())
  t.match(await asked(t, 12_345, embedded.port, register), { registration: Number })
  await othersAreServed()
})

t.test('a name that is withheld cannot be told from one that is not there', root, async t => {
  const rules = [{ deny: ['resolve', 'list'], name: 'secret', user: 12_345 }]
  const policy = join(t.testdir({ 'p.yaml': JSON.stringify({ rules }) }), 'p.yaml')
  const { come, port } = await siege(t, { policy })
  const register = { op: 'register', service: 'secret', transport: 'tcp', port: 1, pid: 4_711 }
  const status = () => asked(t, 12_345, port, { op: 'status' })

  /** The answer about a name, and what of the status has changed by the question. */
  const traces = async (service: string) => {
    const before = await status()
    const { error } = await asked(t, 12_345, port, { op: 'resolve', service })
    const after = Object.entries(await status())
    const grown = after.map(([key, value]) => [key, Number(value) - Number(before[key])])
    return { error: JSON.stringify(error).replaceAll(service, 'NAME'), grown }
  }
  const before = await status()
  const holder = await come()
  holder.ask(register)
  t.match(await holder.answer(), { registration: Number })
  t.strictSame(Object.keys(await status()), Object.keys(before))
  t.notOk('names' in before)
  t.strictSame(await traces('secret'), await traces('nobody'))

  const theirs = await asked(t, 12_345, port, register)
  t.match(theirs, { error: { code: 'ETAKEN', message: 'held by another program' } })
  const roots = await asked(t, 0, port, register)
  t.match(roots, { error: { code: 'ETAKEN', message: 'held by process 4711 on port 1' } })
  t.match(await asked(t, 0, port, { op: 'status' }), { names: 2, denied: 1 }, 'root is told all')
})

t.test(
  'nor does one get it by asking for another, or for one that may not have it',
  root,
  async t => {
    const rules = [{ deny: ['resolve', 'list'], name: 'secret', user: 12_345 }]
    const policy = join(t.testdir({ 'p.yaml': JSON.stringify({ rules }) }), 'p.yaml')
    const { come, port } = await siege(t, { policy })
    const holder = await come()
    for (const service of ['secret', 'open']) {
      holder.ask({ op: 'register', service, transport: 'tcp', port: 1 })
      t.match(await holder.answer(), { registration: Number })
    }
    const questions = (uid: number) => {
      const visitor = { for: { address: '127.0.0.1', uid } }
      const each = ['secret', 'open'].map(service => ({ op: 'resolve', service, ...visitor }))
      return [...each, { op: 'list', ...visitor }]
    }
    for (const [uid, other, isTold] of [
      [12_345, 0, false],
      [0, 12_345, false],
      [12_346, 0, true],
    ] as const) {
      const [secret, open, list] = await allAsked(t, uid, port, questions(other))
      t.match(secret, isTold ? { for: true } : { error: { code: 'ENOSERVICE' } })
      t.match(open, { endpoints: [{}], for: true })
      const services = (list!.services as Message[]).map(({ service }) => service)
      t.equal(services.includes('secret'), isTold, `${uid} for ${other}`)
      t.ok(services.includes('open'))
    }
  },
)

t.test('a name that another user holds is no trusted one', root, async t => {
  const { port, othersAreServed } = await siege(t)
  const [ours, theirs] = [kept(t, 12_346, port), kept(t, 12_345, port)]
  const roots = kept(t, 0, port)
  const register = { op: 'register', transport: 'tcp' }
  await roots.ask({ ...register, service: 'roots', port: 1 })
  await theirs.ask({ ...register, service: 'intranet', port: 2 })
  const trusted = (service: string, given: object = {}) => {
    return { op: 'resolve', service, trusted: true, ...given }
  }
  const absent = { error: { code: 'ENOSERVICE' } }
  const found = { endpoints: [{}], trusted: true }
  t.match(await ours.ask(trusted('roots')), found)
  t.match(await theirs.ask(trusted('roots')), found)
  t.match(await theirs.ask(trusted('intranet')), found)
  t.match(await ours.ask(trusted('intranet')), absent)
  t.match(await roots.ask(trusted('intranet')), absent)
  t.match(await ours.ask({ op: 'resolve', service: 'intranet' }), { endpoints: [{}] })
  const visitor = { for: { address: '127.0.0.1', uid: 12_345 } }
  t.match(await roots.ask(trusted('intranet', visitor)), { ...found, for: true })

  const late = ours.ask(trusted('late', { wait: 60_000 }))
  await theirs.ask({ ...register, service: 'late', version: '2.0.0', port: 3 })
  await roots.ask({ ...register, service: 'late', version: '1.0.0', port: 4 })
  t.match(await late, { endpoints: [{ port: 4 }], trusted: true })
  await othersAreServed()
})

t.test('nobody is told of the gateway of another user', root, async t => {
  const policy = join(t.testdir({ 'p.yaml': 'rules: []' }), 'p.yaml')
  const { daemon, port } = await siege(t, { policy })
  const [ours, theirs, roots] = [12_346, 12_345, 0].map(uid => kept(t, uid, port))
  const gateways = { op: 'gateways' }
  const at = (port: number, uid: number) => ({ address: '127.0.0.1', port, uid })
  t.match(await theirs!.ask({ op: 'gateway', port: 1 }), { gateway: true })
  t.same((await ours!.ask(gateways)).gateways, [])
  t.match(await theirs!.ask(gateways), { gateways: [at(1, 12_345)] })
  t.notOk('gateways' in (await ours!.ask({ op: 'status' })))
  t.match(await roots!.ask({ op: 'status' }), { gateways: [at(1, 12_345)] })
  await roots!.ask({ op: 'gateway', port: 2 })
  t.match(await ours!.ask(gateways), { gateways: [at(2, 0)] })
  const own = kept(t, 12_346, port)
  await own.ask({ op: 'gateway', port: 3 })
  t.same((await ours!.ask(gateways)).gateways, [at(3, 12_346)])
  t.equal(daemon.status().gateways.length, 3)
})

t.test('a policy that somebody has put a link in the place of is not gone by', async t => {
  const dir = t.testdir({ 'real.yaml': 'rules: []' })
  const policy = join(dir, 'policy.yaml')
  symlinkSync(join(dir, 'real.yaml'), policy)
  const one = new Daemon({ port: 0, hosts: ['127.0.0.1'], policy })
  await t.rejects(one.start(), { code: 'ERR_MONIKER_POLICY', message: /symbolic link/ })
  await one.stop()
})
