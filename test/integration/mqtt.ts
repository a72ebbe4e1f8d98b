import { once } from 'node:events'
import { Aedes } from 'aedes'
import mqtt from 'mqtt'
import { test } from 'tap'
import { createServer } from '../../lib/sockets/server.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { home } from '../fixtures/home.ts'

test('mqtt talks to a broker over a name, and comes back to it at another port', async t => {
  await home(t)
  const reconnectPeriod = 1
  const client = new mqtt.MqttClient(() => connect('broker'), { reconnectPeriod })
  client.on('error', () => {})
  const next = (event: 'connect' | 'message' | 'close') =>
    new Promise<unknown[]>(resolve => client.once(event, (...args: unknown[]) => resolve(args)))
  for (let life = 0; life < 2; life++) {
    const broker = await Aedes.createBroker()
    const server = createServer(broker.handle)
    await once(server.listen('broker@1.0.0'), 'listening')
    if (!client.connected) await next('connect')
    await client.subscribeAsync('films/#')
    const heard = next('message')
    await client.publishAsync('films/5', 'The Empire Strikes Back', { qos: 1 })
    const [topic, payload] = await heard
    t.same([topic, String(payload)], ['films/5', 'The Empire Strikes Back'])

    const closed = Promise.all([next('close'), once(server, 'close')])
    server.close()
    await new Promise<void>(resolve => broker.close(resolve))
    await closed
  }
  await client.endAsync(true)
})
