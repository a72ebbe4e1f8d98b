import { spawn } from 'node:child_process'
import fs from 'node:fs/promises'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { syncBuiltinESMExports } from 'node:module'
import { test } from 'tap'
import { occupants, portsOf } from '../../lib/commands/occupants.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { nobody, stranger } from '../fixtures/services.ts'

const { pid } = process

const linux = { skip: process.platform !== 'linux' && 'only Linux tells' }

test('who has a port is known on Linux', linux, async t => {
  const port = await stranger(t)
  t.match(await occupants({ transport: 'tcp', port }), [{ pid, name: /\w/ }])
  t.same(await occupants({ transport: 'udp', port }), [])
  t.same(await occupants({ transport: 'tcp', port: await nobody() }), [])
})

const v6 = { skip: linux.skip || withoutIPv6 }

test('and who has one of IPv6', v6, async t => {
  const socket = createSocket('udp6')
  t.teardown(() => socket.close())
  await once(socket.bind(0, '::1'), 'listening')
  const { port: datagrams } = socket.address()
  t.match(await occupants({ transport: 'udp', port: datagrams }), [{ pid }])
})

test('what may not be seen is not known', async t => {
  const port = await stranger(t)
  const { readdir, readlink } = fs
  const replace = (own: object) => {
    Object.assign(fs, own)
    syncBuiltinESMExports()
  }
  t.teardown(() => replace({ readdir, readlink }))
  const denied = async () => Promise.reject(new Error('EACCES'))
  replace({ readlink: denied })
  t.same(await occupants({ transport: 'tcp', port }), [])
  replace({ readlink, readdir: (path: string) => (path === '/proc' ? readdir(path) : denied()) })
  t.same(await occupants({ transport: 'tcp', port }), [])
})

test('where a process waits is known, or one that it has started', linux, async t => {
  const port = await stranger(t)
  t.ok((await portsOf(pid)).includes(port))
  t.ok((await portsOf(process.ppid)).includes(port))
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] })
  t.teardown(() => child.kill())
  t.same(await portsOf(child.pid!), [])
})

test('elsewhere nobody is known', async t => {
  const port = await stranger(t)
  t.intercept(process, 'platform', { value: 'darwin' })
  t.same(await occupants({ transport: 'tcp', port }), [])
})
