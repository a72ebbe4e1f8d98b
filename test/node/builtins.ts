import cluster from 'node:cluster'
import crypto from 'node:crypto'
import dns from 'node:dns'
import threads from 'node:worker_threads'
import t from 'tap'
import { builtins } from '../../lib/node/builtins.ts'

t.test('each is the module that programs import', async t => {
  t.equal(builtins.cluster, cluster)
  t.equal(builtins.crypto, crypto)
  t.equal(builtins.dns, dns)
  t.equal(builtins.threads, threads)
})
