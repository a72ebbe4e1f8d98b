import { execFile, spawnSync } from 'node:child_process'
import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { t, test, type Test } from 'tap'
import { SCRIPTS } from '../../lib/commands/completion.ts'
import { monikerCommand } from '../../lib/commands/moniker.ts'
import { printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 3

const run = promisify(execFile)

/** The words that have each shell complete `line`, and print what it would offer. */
const SHELLS = {
  bash: (line: string) => [
    '-c',
    `eval "$SCRIPT"; compopt() { COMPREPLY+=(files); }
     COMP_LINE=${quoted(line)} COMP_POINT=\${#COMP_LINE}; _moniker; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ],
  zsh: (line: string) => [
    '-fc',
    `compdef() { }; _files() { print files }; _describe() { print -rl -- "\${(@P)2}" }
     eval "$SCRIPT"; words=("\${(@s. .)1}"); CURRENT=$#words; _moniker`,
    'zsh',
    line,
  ],
  fish: (line: string) => [
    '-c',
    `eval "$SCRIPT"; function __fish_complete_path; echo files; end; complete -C ${quoted(line)}`,
  ],
}

type Shell = keyof typeof SHELLS

function quoted(text: string): string {
  return `'${text}'`
}

/** The offer of a shell for a line, in which our command is the one in this directory. */
async function offered(t: Test, shell: Shell, line: string, port: number): Promise<string[]> {
  const cli = fileURLToPath(new URL('../../lib/cli.ts', import.meta.url))
  const command = [process.execPath, ...process.execArgv, cli].map(quoted).join(' ')
  const bin = t.testdir({ moniker: `#!/bin/sh\nexec ${command} "$@"\n` })
  await run('chmod', ['+x', `${bin}/moniker`])
  const env = {
    ...process.env,
    HOME: bin,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    MONIKER_PORT: String(port),
    SCRIPT: SCRIPTS[shell],
  }
  const { stdout } = await run(shell, SHELLS[shell](line), { env })
  return stdout.split('\n').filter(Boolean)
}

for (const shell of Object.keys(SHELLS) as Shell[]) {
  const skip = spawnSync(shell, ['-c', 'true']).status !== 0 && `${shell} is not installed`
  test(`${shell} completes names and files`, { skip }, async t => {
    const { port } = await daemon(t)
    await named(t, { service: 'ns:web', daemonPort: port })
    await named(t, { service: 'ns:wing', daemonPort: port })

    const rest = shell === 'bash' ? '' : shell === 'zsh' ? String.raw`ns\:` : 'ns:'
    const names = await offered(t, shell, 'moniker connect ns:w', port)
    t.match(
      names.toSorted().map(name => name.startsWith(rest) && name.slice(rest.length)),
      [/^web/, /^wing/],
    )
    t.match(await offered(t, shell, 'moniker run x -- ', port), [/files/])
    t.match(await offered(t, shell, 'monikerd --pu', port), [/^--public-list/])
  })
}

/** For what runs inside this process, and is caught in what it writes. */
const alone = { buffered: false }

test('the script for a shell is printed as it is', alone, async t => {
  const moniker = await monikerCommand()
  t.equal(await printed(t, moniker, 'completion', 'zsh'), `${SCRIPTS.zsh}\n`)
})
