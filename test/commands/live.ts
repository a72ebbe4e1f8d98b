import { EventEmitter } from 'node:events'
import { stripVTControlCharacters } from 'node:util'
import { test, type Test } from 'tap'
import { fitted, showLive } from '../../lib/commands/live.ts'
import { watch } from '../../lib/client/watch.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named, nobody } from '../fixtures/services.ts'

/** A terminal of a few rows, and the wait until what it shows, without its colours, is like `pattern`. */
function terminal(rows = 10) {
  let text = ''
  const stream = Object.assign(new EventEmitter(), {
    rows,
    write: (some: string) => {
      text += some
      stream.emit('written')
      return true
    },
  })
  const shown = () => stripVTControlCharacters(text.slice(text.lastIndexOf('\u001B[H')))
  const shows = async (pattern: RegExp) => {
    while (!pattern.test(shown())) await new Promise(resolve => stream.once('written', resolve))
  }
  return { stream: stream as never, resize: () => stream.emit('resize'), shows, all: () => text }
}

/** A watch that ends with the test. */
function watching(t: Test, daemonPort: number) {
  const watched = watch({ daemonPort, grace: 0 })
  t.teardown(() => watched.close())
  return watched
}

test('the table changes with what is there, on a screen of its own', async t => {
  const { port: daemonPort } = await daemon(t)
  const { stream, shows, resize, all } = terminal()
  const watched = watching(t, daemonPort)
  const done = showLive(watched, stream)
  await shows(/^NAME .*PROCESS$/)
  const server = await named(t, { service: 'web', daemonPort })
  await shows(/^NAME .*\nweb +0.0.0 /)
  const before = all()
  resize()
  await shows(/web/)
  while (all() === before) await new Promise(setImmediate)
  server.close()
  await shows(/^NAME .*PROCESS$/)

  t.notOk(all().endsWith('\u001B[?1049l'))
  watched.close()
  await done
  t.ok(all().startsWith('\u001B[?1049h'))
  t.ok(all().endsWith('\u001B[?1049l'))
})

test('a daemon that is not there is looked for, and that is said', async t => {
  const port = await nobody()
  const { stream, shows } = terminal()
  const watched = watching(t, port)
  const done = showLive(watched, stream)
  await shows(/^NAME .*\n.*no daemon answers .*\(it is looked for\)$/)
  await daemon(t, { port })
  await shows(/^NAME .*PROCESS$/)
  watched.close()
  await done
})

test('one who may not watch is told so', async t => {
  const watched = watching(t, await nobody())
  const { stream, shows } = terminal()
  const done = showLive(watched, stream)
  await shows(/NAME/)
  const error = new Error('denied')
  watched.emit('error', error)
  await t.rejects(done, error)
})

test('what has no room is counted', async t => {
  const lines = ['head', 'a', 'b', 'c']
  t.same(fitted(lines, 4), lines)
  t.same(fitted(lines, 3), ['head', 'a', '… and 2 more'])
  t.same(fitted(lines, 3, 'no\u001Bdaemon'), ['head', '… and 3 more', 'no daemon'])
  t.same(fitted(lines, 1, 'no daemon'), ['… and 4 more', 'no daemon'])
  t.same(fitted(lines, 5, 'no daemon'), [...lines, 'no daemon'])
})
