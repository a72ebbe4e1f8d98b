import { EventEmitter } from 'node:events'
import type { Server } from 'node:net'
import t from 'tap'
import { counting } from '../../lib/sockets/load.ts'
import { awake } from '../fixtures/awake.ts'

t.test('the number of connections is told when it changes, and not too often', async t => {
  awake(t)
  const server = new EventEmitter()
  const told: number[] = []
  const stop = counting(server as Server, count => told.push(count), 5)
  const sockets = [1, 2, 3].map(() => new EventEmitter())
  for (const socket of sockets) server.emit('connection', socket)
  t.strictSame(told, [1], 'at once')
  while (told.length < 2) await new Promise(setImmediate)
  for (const socket of sockets.slice(1)) socket.emit('close')
  while (told.length < 3) await new Promise(setImmediate)
  t.strictSame(told, [1, 3, 1])

  sockets[0]!.emit('close')
  stop()
  server.emit('connection', new EventEmitter())
  await new Promise(resolve => setTimeout(resolve, 10))
  t.strictSame(told, [1, 3, 1], 'nothing is told after that')
})

t.test('a number that has not changed in the end is not told again', async t => {
  awake(t)
  const server = new EventEmitter()
  const told: number[] = []
  t.teardown(counting(server as Server, count => told.push(count), 1))
  const socket = new EventEmitter()
  server.emit('connection', new EventEmitter())
  server.emit('connection', socket)
  socket.emit('close')
  await new Promise(resolve => setTimeout(resolve, 5))
  server.emit('connection', new EventEmitter())
  t.strictSame(told, [1, 2], 'and one that changes after a while, at once')
})
