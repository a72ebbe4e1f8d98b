import { compare, seconds, type Benchmark, type Comparison, type Way } from './measure.ts'
import { peer } from './process.ts'
import { freePort } from './program.ts'
import { MONIKER, Project } from './project.ts'
import type { TargetName } from './targets.ts'

const OURS = 'moniker-net'
const NET = 'node:net'

const NOTHING = /^$/
const NUMBER = /^\d+\n$/
const ENDPOINT = /^127\.0\.0\.1 \d+ tcp 0\.0\.0\n$/
const LISTED = /\bbench\b.*\btcp\b/

/** Whole processes, from when they are started until they have ended. */
export const start: Benchmark = async options => {
  const daemons = await peer<number[]>('daemons')
  const [daemon] = daemons.ready as [number]
  const echo = await peer<number>('echo', { port: daemon })
  const project = await Project.create()
  let cached = false

  /** Runs Node, and checks what it prints. */
  const run = async (args: string[], printed: RegExp, port: number): Promise<string> => {
    const output = await project.run(args, port)
    if (printed.test(output)) return output
    throw new Error(`node ${args.join(' ')} printed ${JSON.stringify(output)}`)
  }
  /** Milliseconds that a process takes; where no port of a daemon is given, there is none. */
  const timed = (name: string, args: string[], printed: RegExp, port?: number): Way => ({
    name,
    run: async () => {
      const designated = port ?? (await freePort())
      return (await seconds(() => run(args, printed, designated))) * 1000
    },
  })
  /** Megabytes of a program, in the same way. */
  const weighed = (name: string, program: string, port?: number): Way => ({
    name,
    run: async () => Number(await run([program], NUMBER, port ?? (await freePort()))) / 1e6,
  })
  /** One line of the table. */
  const line = async (
    what: string,
    unit: string,
    ways: [Way, Way],
    target?: TargetName,
  ): Promise<Comparison> => {
    await project.clearCache()
    const found = await compare(what, unit, ways, options, target)
    cached ||= await project.isCached()
    return found
  }
  const time = (what: string, ours: Way, beside: Way, target: TargetName) =>
    line(what, 'ms', [ours, beside], target)

  const empty = timed('node -e 0', ['-e', '0'], NOTHING)
  const plain = timed('net, port 0', ['listen-net.mjs'], NUMBER)
  const light = weighed('net, port 0', 'idle-net.mjs')
  try {
    for (const [file, text] of Object.entries(programs(echo.ready))) await project.add(file, text)
    return {
      measures:
        'Whole processes of Node, each from when it is started until it has ended (ms), and the memory (RSS, MB) of one that ' +
        'listens; lower is better.',
      comparisons: [
        await time(
          'import',
          timed(OURS, ['load-ours.mjs'], NOTHING),
          timed(NET, ['load-net.mjs'], NOTHING),
          'startImport',
        ),
        await time(
          'say the version',
          timed('moniker --version', [MONIKER, '--version'], /^\d+\.\d+\.\d+\S*\n$/),
          empty,
          'startVersion',
        ),
        await time(
          'complete a word',
          timed('moniker complete', [MONIKER, 'complete', '--', 'resol'], /^resolve\t.*\n$/),
          empty,
          'startComplete',
        ),
        await time(
          'resolve a name',
          timed('moniker resolve', [MONIKER, 'resolve', 'bench'], ENDPOINT, daemon),
          timed('a script', ['resolve.cjs'], ENDPOINT, daemon),
          'startResolve',
        ),
        await time(
          'list names',
          timed('moniker ls', [MONIKER, 'ls'], LISTED, daemon),
          timed('a script', ['list.cjs'], LISTED, daemon),
          'startList',
        ),
        await time(
          'connect, a byte there and back',
          timed('by name', ['call-ours.mjs'], /^x\n$/, daemon),
          timed('net, by port', ['call-net.mjs'], /^x\n$/, daemon),
          'startConnect',
        ),
        await time(
          'listen, no daemon there',
          timed('on a name', ['listen-ours.mjs'], NUMBER),
          plain,
          'startListen',
        ),
        await line(
          'memory, no daemon there',
          'MB',
          [weighed('on a name', 'idle-ours.mjs'), light],
          'startMemory',
        ),
        await line('memory, beside a daemon', 'MB', [
          weighed('on a name', 'idle-ours.mjs', daemon),
          light,
        ]),
      ],
      notes: [
        'The scripts connect to the daemon with `net`, ask by one line of JSON, and print the answer. Programs by name and by number are the same, but for the module and the place.',
        'Where there is no daemon, the process that listens on a name becomes it.',
        cached
          ? 'The cache of compiled code of the commands was empty before each line, and filled by the round to warm up.'
          : 'No compiled code was kept from one process to the next.',
      ],
    }
  } finally {
    await Promise.all([echo.stop(), daemons.stop()])
    await project.remove()
  }
}

/** The contents of the project, by file. `echo` is a port. */
function programs(echo: number): Record<string, string> {
  return {
    'load-ours.mjs': load(OURS),
    'load-net.mjs': load(NET),
    'call-ours.mjs': call(OURS, 'bench'),
    'call-net.mjs': call(NET, { port: echo, host: '127.0.0.1' }),
    'listen-ours.mjs': listen(OURS, 'mine'),
    'listen-net.mjs': listen(NET, 0),
    'idle-ours.mjs': idle(OURS, 'mine'),
    'idle-net.mjs': idle(NET, 0),
    'resolve.cjs': ask(
      { op: 'resolve', service: 'bench' },
      `for (const { address = '127.0.0.1', port, transport, version } of answer.endpoints) {
    console.log(address, port, transport, version)
  }`,
    ),
    'list.cjs': ask(
      { op: 'list' },
      `for (const { service, version, transport, address, port } of answer.services) {
    console.log(service, version, transport, address, port)
  }`,
    ),
  }
}

/** Loads a module, and ends. */
function load(module: string): string {
  return `import '${module}'\n`
}

/** Connects, gets back the byte that it sends, and ends. */
function call(module: string, to: unknown): string {
  return `import net from '${module}'

const socket = net.connect(${JSON.stringify(to)})
socket.write('x')
socket.on('data', data => {
  console.log(String(data))
  socket.destroy()
})
`
}

/** Listens, says at which port, and ends. */
function listen(module: string, at: unknown): string {
  return `import net from '${module}'

const server = net.createServer().listen(${JSON.stringify(at)}, () => {
  console.log(server.address().port)
  server.close()
})
`
}

/** Listens, says how many bytes of memory it has once it has nothing more to do, and ends. */
function idle(module: string, at: unknown): string {
  return `import net from '${module}'

const server = net.createServer().listen(${JSON.stringify(at)}, () => {
  setTimeout(() => {
    console.log(process.memoryUsage.rss())
    server.close()
  }, 500)
})
`
}

/** Asks the daemon something without any of us, and prints of the answer what is wanted. It is CommonJS, which starts sooner. */
function ask(question: object, print: string): string {
  return `const net = require('node:net')

const socket = net.connect(process.env.MONIKER_PORT, '127.0.0.1')
socket.write('${JSON.stringify({ v: 1, id: 1, ...question })}\\n')
let text = ''
socket.setEncoding('utf8').on('data', chunk => {
  text += chunk
  if (!text.endsWith('\\n')) return
  const answer = JSON.parse(text)
  ${print}
  socket.destroy()
})
`
}
