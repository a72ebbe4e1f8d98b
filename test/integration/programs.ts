// Programs that know nothing of names, as they are installed, find services by name: moniker exec.
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import https from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { t, test, type Test } from 'tap'
import { cert, key } from '../fixtures/certificate.ts'
import { moniker, type Ended } from '../fixtures/command.ts'
import { far, type Far } from '../fixtures/far.ts'
import { needing } from '../fixtures/installed.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 3

/** The settings that those who run the tests may have for these programs. */
const SETTINGS = {
  CURL_HOME: '/nowhere',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  PIP_CONFIG_FILE: '/dev/null',
  PIP_DISABLE_PIP_VERSION_CHECK: '1',
  LC_ALL: 'C',
}

/** The end of a program that was run so that it finds names. */
function exec(t: Test, { port }: Far, args: string[], cwd?: string): Promise<Ended> {
  const env = { ...SETTINGS, PIP_INDEX_URL: undefined, PIP_EXTRA_INDEX_URL: undefined }
  return moniker(t, ['exec', ...args], { port, env, ...(cwd && { cwd }) }).ended
}

/** Answers with the files of a folder. */
function files(folder: string): RequestListener {
  return ({ url = '' }, response) => {
    const [path = ''] = url.split('?')
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path)
    if (file.endsWith('.html')) response.setHeader('content-type', 'text/html')
    if (existsSync(file)) createReadStream(file).pipe(response)
    else response.writeHead(404).end()
  }
}

/**
 * The same with `--ask`, until its output has what a server by name says. A daemon that takes too long is not waited for,
 * but the usual port is taken, as it should be.
 */
async function ask(t: Test, there: Far, ...args: string[]): Promise<Ended> {
  for (;;) {
    const ended = await exec(t, there, ['--ask', ...args])
    if (ended.stdout.includes('by name')) return ended
  }
}

test(
  'lynx finds the service http of a host, wherever it is: the paper, page 1',
  needing('lynx'),
  async t => {
    const there = await far(t)
    await there.web('http', 'by name')
    const ended = await ask(t, there, 'lynx', '-dump', `http://${there.host}`)
    t.match(ended, { status: 0, stdout: /by name/ })
  },
)

test('lynx finds a service in a namespace: the paper, page 1', needing('lynx'), async t => {
  const there = await far(t)
  await there.web('http', ({ url }, response) => response.end(`drafts at ${url}`), {
    namespace: 'reynolds',
  })
  await there.web('starwars', ({ url }, response) => response.end(`a new hope at ${url}`))
  const { host } = there
  t.match(await exec(t, there, ['lynx', '-dump', `reynolds:http://${host}`]), {
    status: 0,
    stdout: /drafts at \//,
  })
  t.match(await exec(t, there, ['lynx', '-dump', `starwars://${host}/x?y`]), {
    status: 0,
    stdout: /a new hope at \/x\?y/,
  })
  t.match(await exec(t, there, ['lynx', '-dump', `endor:http://${host}`]), {
    stdout: /endor:http/,
  })
})

test('curl and wget get what a URI of ours leads to', needing('curl', 'wget'), async t => {
  const there = await far(t)
  await there.web('starwars', (request, response) => {
    response.write(`${request.method} ${request.url} `)
    request.pipe(response)
  })
  const uri = `starwars://${there.host}/x`
  const posted = await exec(t, there, ['curl', '-sS', '-d', 'web://h', uri])
  t.match(posted, { status: 0, stdout: 'POST /x web://h' })
  t.match(await exec(t, there, ['wget', '--no-config', '-qO-', uri]), {
    status: 0,
    stdout: 'GET /x ',
  })
  t.match(await exec(t, there, ['curl', '-sSf', `endor://${there.host}/x`]), {
    status: 22,
    stderr: /404/,
  })
})

test('a name of ours without a dot will do', needing('curl', 'lynx'), async t => {
  const here = await far(t, '127.0.0.1')
  await here.web('web', 'by name')
  for (const program of [
    ['curl', '-sS'],
    ['lynx', '-dump'],
  ]) {
    t.match(await exec(t, here, [...program, 'http://web/']), { status: 0, stdout: /by name/ })
  }
})

test('curl finds the service https of a host', needing('curl'), async t => {
  const there = await far(t)
  const server = https.createServer({ key, cert }, (_, response) => response.end('by name'))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server.listen(0, there.host), 'listening')
  await there.name('https', server)
  const ended = await ask(t, there, 'curl', '-sk', `https://${there.host}/`)
  t.match(ended, { status: 0, stdout: /by name/ })
})

test('git clones by name, and pulls', needing('git'), async t => {
  const there = await far(t)
  const folder = t.testdir({ served: {}, script: { 'yoda.txt': 'Do. Or do not.' } })
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      cwd: join(folder, 'script'),
      env: { ...process.env, ...SETTINGS },
      stdio: 'ignore',
    })
  const commit = ['-c', 'user.name=Luke', '-c', 'user.email=luke@theforce.net', 'commit', '-qam']
  const served = join(folder, 'served', 'script.git')
  const publish = () => {
    git('push', '-q', served, 'HEAD:refs/heads/main')
    git('-C', served, 'update-server-info')
  }
  git('init', '-q', '-b', 'main')
  git('init', '-q', '-b', 'main', '--bare', served)
  git('add', '.')
  git(...commit, 'one')
  publish()
  await there.web('films', files(join(folder, 'served')))
  const uri = `films://${there.host}/script.git`
  t.match(await exec(t, there, ['git', 'clone', '-q', uri], folder.concat('/served')), {
    status: 0,
  })
  const clone = join(folder, 'served', 'script')
  t.equal(readFileSync(join(clone, 'yoda.txt'), 'utf8'), 'Do. Or do not.')

  writeFileSync(join(folder, 'script', 'yoda.txt'), 'There is no try.')
  git(...commit, 'two')
  publish()
  t.match(await exec(t, there, ['git', 'pull', '-q'], clone), { status: 0 })
  t.equal(readFileSync(join(clone, 'yoda.txt'), 'utf8'), 'There is no try.')
})

/** A wheel of Python, by its name, with nothing in it. */
const wheel = `
import sys, zipfile
info = 'films-1.0.dist-info/'
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
  wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: films\\nVersion: 1.0\\n')
  wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
  wheel.writestr(info + 'RECORD', '')
`

/** The reason to skip what needs pip. */
const pip = {
  skip: spawnSync('python3', ['-m', 'pip', '--version']).status !== 0 && 'pip is not installed',
}

test('pip takes from an index of this host', pip, async t => {
  const here = await far(t, '127.0.0.1')
  const there = await far(t, '127.0.0.2', { port: here.port })
  const folder = t.testdir({ simple: { films: {} }, here: {}, there: {} })
  const name = 'films-1.0-py3-none-any.whl'
  execFileSync('python3', ['-c', wheel, join(folder, 'simple', 'films', name)])
  writeFileSync(join(folder, 'simple', 'films', 'index.html'), `<a href="${name}">${name}</a>`)
  await here.web('wheels', files(folder))
  await there.web('wheels', files(folder))
  const download = (to: string, index: string, ...more: string[]) => {
    const args = ['download', '--no-cache-dir', '--retries', '0', '-d', join(folder, to), ...more]
    return exec(t, here, ['python3', '-m', 'pip', ...args, '-i', index, 'films'])
  }
  const { status, stderr } = await download('here', 'wheels://localhost/simple')
  t.equal(status, 0, stderr)
  t.ok(existsSync(join(folder, 'here', name)))

  const index = `wheels://${there.host}/simple`
  t.match(await download('there', index), { status: 1, stderr: /trusted/ }, 'it has no TLS')
  const trusted = ['--trusted-host', `wheels.at.${there.host}.moniker.internal`]
  t.match(await download('there', index, ...trusted), { status: 0 })
  t.ok(existsSync(join(folder, 'there', name)))
})

test(
  'redis-cli, which knows no proxy, is preloaded',
  needing('proxychains4', 'redis-cli'),
  async t => {
    const here = await far(t, '127.0.0.1')
    const server = createServer(socket =>
      socket.on('data', () => socket.write('+PONG by name\r\n')),
    )
    await once(server.listen(0, here.host), 'listening')
    t.teardown(() => void server.close())
    await here.name('cache', server)
    for (const host of ['cache', 'cache.localhost']) {
      const ended = await exec(t, here, ['--preload', 'redis-cli', '-h', host, 'ping'])
      t.match(ended, { status: 0, stdout: 'PONG by name\n' })
    }
  },
)
