import pg from 'pg'
import { test } from 'tap'
import { MonikerSocket } from '../../lib/sockets/socket.ts'
import { home } from '../fixtures/home.ts'
import { isInstalled, postgres } from '../fixtures/postgres.ts'
import { run } from '../fixtures/run.ts'

const skip = !isInstalled() && 'PostgreSQL is not installed'

test('pg talks to PostgreSQL over a name', { skip }, async t => {
  await run(t, 'db@15.0.0', postgres(t), await home(t))

  const stream = () => new MonikerSocket({ service: 'db' })
  const pool = new pg.Pool({ user: 'postgres', database: 'postgres', max: 3, stream })
  await pool.query('create table films (episode int, title text)')
  await pool.query('insert into films select n, repeat($1, n) from generate_series(1, 1000) n', [
    'x',
  ])
  const answers = await Promise.all(
    [1, 2, 3, 4].map(() => pool.query('select sum(length(title)) as total from films')),
  )
  for (const { rows } of answers) t.same(rows, [{ total: '500500' }])
  await pool.end()

  const missing = new pg.Client({ stream: () => new MonikerSocket({ service: 'nobody' }) })
  await t.rejects(missing.connect(), { code: 'ECONNREFUSED', service: 'nobody' })
})
