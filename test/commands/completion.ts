import { execFile } from 'node:child_process'
import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test, type Test } from 'tap'
import { completionCommand } from '../../lib/commands/completion.ts'
import { monikerCommand } from '../../lib/commands/moniker.ts'
import { printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named, nobody } from '../fixtures/services.ts'

const run = promisify(execFile)

/** How each shell is had to complete `line`, and to print what it would offer. */
const SHELLS: Record<string, (line: string) => string[]> = {
  bash: line => [
    '-c',
    `eval "$SCRIPT"; compopt() { COMPREPLY+=(files); }
     COMP_LINE=${quoted(line)} COMP_POINT=\${#COMP_LINE}; _moniker; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ],
  zsh: line => [
    '-fc',
    `compdef() { }; _files() { print files }; _describe() { print -rl -- "\${(@P)2}" }
     eval "$SCRIPT"; words=("\${(@s. .)1}"); CURRENT=$#words; _moniker`,
    'zsh',
    line,
  ],
  fish: line => [
    '-c',
    `eval "$SCRIPT"; function __fish_complete_path; echo files; end; complete -C ${quoted(line)}`,
  ],
}

function quoted(text: string): string {
  return `'${text}'`
}

/** What a shell offers for a line, in which our command is the one in this directory. */
async function offered(t: Test, shell: string, line: string, port: number): Promise<string[]> {
  const cli = fileURLToPath(new URL('../../lib/cli.ts', import.meta.url))
  const command = [process.execPath, ...process.execArgv, cli].map(quoted).join(' ')
  const bin = t.testdir({ moniker: `#!/bin/sh\nexec ${command} "$@"\n` })
  await run('chmod', ['+x', `${bin}/moniker`])
  const env = {
    ...process.env,
    HOME: bin,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    MONIKER_PORT: String(port),
    SCRIPT: await printed(t, completionCommand, shell),
  }
  const { stdout } = await run(shell, SHELLS[shell]!(line), { env })
  return stdout.split('\n').filter(Boolean)
}

const exists = (shell: string) =>
  run(shell, ['-c', 'true']).then(
    () => true,
    () => false,
  )

for (const shell of Object.keys(SHELLS)) {
  test(`${shell} completes commands, names and files`, async t => {
    if (!(await exists(shell))) return t.pass(`there is no ${shell} here`)
    const { port } = await daemon(t)
    await named(t, { service: 'ns:web', daemonPort: port })
    await named(t, { service: 'ns:wing', daemonPort: port })

    t.match(await offered(t, shell, 'moniker reg', port), [/^register/])
    const rest = shell === 'bash' ? '' : shell === 'zsh' ? String.raw`ns\:` : 'ns:'
    const names = await offered(t, shell, 'moniker connect ns:w', port)
    t.match(
      names.toSorted().map(name => name.startsWith(rest) && name.slice(rest.length)),
      [/^web/, /^wing/],
    )
    t.match(await offered(t, shell, 'moniker run x -- ', port), [/files/])
  })
}

test('where there is no daemon there are no names', async t => {
  process.env.MONIKER_PORT = String(await nobody())
  t.teardown(() => delete process.env.MONIKER_PORT)
  t.equal(await printed(t, monikerCommand, 'complete', '--', 'connect', ''), '')
  t.equal(await printed(t, monikerCommand, 'complete', '--', 'completion', 'b'), 'bash\t\n')
})
