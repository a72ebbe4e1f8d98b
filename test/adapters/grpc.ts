import * as grpc from '@grpc/grpc-js'
import { once } from 'node:events'
import { test, type Test } from 'tap'
import { register } from '../../lib/adapters/grpc.ts'
import { createServer } from '../../lib/sockets/server.ts'
import { home } from '../fixtures/home.ts'

register()

const bytes = (value: Buffer) => value
const definition = {
  shout: {
    path: '/Greeter/Shout',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
}
const Greeter = grpc.makeGenericClientConstructor(definition, 'Greeter')

type Shout = (word: Buffer, done: (error: Error | null, answer?: Buffer) => void) => void

/** A greeter that is known by a name; gRPC is handed its connections. */
async function greeter(t: Test) {
  const server = new grpc.Server()
  server.addService(definition, {
    shout: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) =>
      done(null, Buffer.from(String(call.request).toUpperCase())),
  })
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  const listening = createServer(socket => injector.injectConnection(socket)).listen(
    'greeter@1.0.0',
  )
  await once(listening, 'listening')
  t.teardown(() => server.forceShutdown())
  return async () => {
    const closed = once(listening.close(), 'close')
    injector.drain(0)
    injector.destroy()
    await closed
  }
}

function shout(client: grpc.Client, word: string): Promise<string> {
  const call = (client as unknown as { shout: Shout }).shout.bind(client)
  return new Promise((resolve, reject) => {
    call(Buffer.from(word), (error, answer) => (error ? reject(error) : resolve(String(answer))))
  })
}

test('gRPC goes to a name, and finds it again', async t => {
  await home(t)
  const stop = await greeter(t)
  const client = new Greeter('moniker:greeter@^1', grpc.credentials.createInsecure())
  const far = new Greeter('moniker://localhost/greeter', grpc.credentials.createInsecure())
  t.teardown(() => [client, far].forEach(one => one.close()))
  t.equal(await shout(client, 'hello'), 'HELLO')
  t.equal(await shout(far, 'there'), 'THERE')

  await stop()
  const again = await greeter(t)
  while ((await shout(client, 'hello').catch(() => '')) === '');
  t.equal(await shout(client, 'again'), 'AGAIN')
  await again()
})

test('a name that nobody offers is said to be unavailable, and why', async t => {
  await home(t)
  const client = new Greeter('moniker:nobody', grpc.credentials.createInsecure())
  t.teardown(() => client.close())
  await t.rejects(shout(client, 'hello'), {
    code: 14,
    message: /nobody is not offered at localhost/,
  })
})

test('a channel that is closed while it asks hears no more', async t => {
  const asked: (AbortSignal | undefined)[] = []
  register({
    resolve: (_name, options) => {
      const signal = options?.signal
      asked.push(signal)
      return new Promise<never>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error))
      })
    },
  })
  t.teardown(() => register())
  const { createResolver } = grpc.experimental
  const target = { scheme: 'moniker', path: 'greeter' }
  const resolver = createResolver(target, () => t.fail('told'), {})
  resolver.updateResolution()
  resolver.updateResolution()
  resolver.destroy()
  resolver.destroy()
  t.same(
    asked.map(signal => signal?.aborted),
    [true],
    'it asked once',
  )
  await new Promise(setImmediate)
})
