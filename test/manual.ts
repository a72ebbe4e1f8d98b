import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { monikerCommand } from '../lib/commands/moniker.ts'
import { pages } from '../scripts/manual.ts'

const root = new URL('..', import.meta.url)

const all = await pages()

const skip = spawnSync('groff', ['--version']).status !== 0 && 'groff is not installed'

for (const { file, text } of all) {
  test(`${file} says what the commands say; if not, npm run man`, async t => {
    t.equal(readFileSync(new URL(file, root), 'utf8'), text)
  })

  test(`${file} is a page that is set without complaint`, { skip }, async t => {
    const { stdout, stderr } = spawnSync(
      'groff',
      ['-man', '-ww', '-z', '-Kutf8', fileURLToPath(new URL(file, root))],
      { encoding: 'utf8' },
    )
    t.equal(stdout + stderr, '')
  })
}

test('every command has its place, with each of its options', async t => {
  const [page] = all
  const moniker = await monikerCommand()
  const commands = readFileSync(new URL('docs/commands.md', root), 'utf8')
  const bare = page!.text.replaceAll('\\-', '-')
  for (const command of moniker.createHelp().visibleCommands(moniker)) {
    if (command.name() === 'help') continue
    t.match(bare, `.SS ${command.name()}\n`)
    for (const { long } of command.options) t.match(bare, long)
    t.match(commands, `| \`moniker ${command.name()}`, 'a row in docs/commands.md')
  }
})

test('the package installs them', async t => {
  const { man, files } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
    man: string[]
    files: string[]
  }
  t.same(
    man,
    all.map(({ file }) => `./${file}`),
  )
  t.ok(files.includes('man'))
})
