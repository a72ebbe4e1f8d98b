import { readlinkSync } from 'node:fs'
import { test } from 'tap'
import { pidNamespace } from '../../lib/node/spaces.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux has such' }

test('the PID namespace of this process has a number', linux, async t => {
  t.equal(`pid:[${pidNamespace()}]`, readlinkSync('/proc/self/ns/pid'))
})

test('where there is none, it has none', async t => {
  t.equal(pidNamespace('/no/such/link'), undefined)
})
