import { test } from 'tap'
import { flagged } from '../../lib/commands/flags.ts'

/** The command with its flags, in one line; what stays as it is has none. */
const line = (command: string, scripts?: Record<string, unknown>) =>
  flagged(command.split(' '), scripts)?.words.join(' ')

test('a tool that ignores PORT gets its own flag, however it is called', async t => {
  const cases: [command: string, flags: string][] = [
    ['vite', '--port {port} --strictPort'],
    ['vite --host 0.0.0.0', '--port {port} --strictPort'],
    ['vite ./site', '--port {port} --strictPort'],
    ['npx vite preview', '--port {port} --strictPort'],
    ['pnpm exec vite', '--port {port} --strictPort'],
    ['yarn vite dev', '--port {port} --strictPort'],
    ['node_modules/.bin/vite', '--port {port} --strictPort'],
    ['node --inspect ./node_modules/vite/bin/vite.js', '--port {port} --strictPort'],
    ['cross-env NODE_ENV=x vite', '--port {port} --strictPort'],
    ['next dev', '--port {port}'],
    ['next start', '--port {port}'],
    ['astro dev', '--port {port}'],
    ['ng serve', '--port {port}'],
    ['npx expo start', '--port {port}'],
    ['vitepress dev docs', '--port {port}'],
    ['webpack serve --mode development', '--port {port}'],
    ['webpack-dev-server', '--port {port}'],
    ['bin/rails server', '--port {port}'],
    ['bundle exec rails s', '--port {port}'],
    ['flask --app hello run', '--port {port}'],
    ['python3 -m flask run', '--port {port}'],
    ['python3.12 manage.py runserver', '{port}'],
    ['uv run uvicorn app:app --reload', '--port {port}'],
    ['django-admin runserver --settings shop.settings', '{port}'],
    ['python3 -m django runserver', '{port}'],
    ['python3 -m http.server', '{port}'],
    ['php artisan serve', '--port {port}'],
  ]
  for (const [command, flags] of cases) t.equal(line(command), `${command} ${flags}`, command)
  t.equal(line('npm exec vite'), 'npm exec vite -- --port {port} --strictPort')
  t.equal(line('npm exec -- vite'), 'npm exec -- vite --port {port} --strictPort')
  t.match(flagged(['npx', 'vite']), { tool: 'vite', flags: ['--port', '{port}', '--strictPort'] })
})

test('a tool that does not serve, or has its port, is left alone', async t => {
  for (const command of [
    'vite build',
    'next build',
    'next lint',
    'astro',
    'astro check',
    'rails db:migrate',
    'webpack --watch',
    'python3 manage.py migrate',
    'vite --port {port}',
    'vite --port 3000',
    'vite --port=3000',
    'next dev -p 3000',
    'rails server -p3000',
    'flask run -p 80',
    'python3 manage.py runserver 8000',
    'django-admin runserver 8000',
    'python3 manage.py runserver 127.0.0.1:8000',
    'python3 -m http.server 8000',
    'node server.js',
    'true',
    'ls vite',
    'npm ci',
    'npm run nothing',
    'npm run',
    'npm',
  ]) {
    t.equal(line(command), undefined, command)
  }
})

test('the server of PHP has its port in an address', async t => {
  t.equal(line('php -S'), 'php -S 127.0.0.1:{port}')
  t.equal(line('php -S -t public'), 'php -S 127.0.0.1:{port} -t public')
  t.equal(line('php8.2 -S localhost -t public'), 'php8.2 -S localhost:{port} -t public')
  t.equal(line('php -S localhost:8000'), undefined)
  t.equal(line('ls -S'), undefined)
})

test('a script of package.json is looked into', async t => {
  const scripts = {
    dev: 'vite',
    start: 'npm run dev',
    'build-and-serve': 'tsc && vite preview',
    fixed: 'vite --port 3000',
    piped: 'vite | tee log',
    both: 'vite & tsc --watch',
    loop: 'npm run loop',
    wrong: 7,
  }
  const flags = '--port {port} --strictPort'
  const cases: [command: string, found: string | undefined][] = [
    ['npm run dev', `npm run dev -- ${flags}`],
    ['npm run dev -- --host', `npm run dev -- --host ${flags}`],
    ['npm run-script dev', `npm run-script dev -- ${flags}`],
    ['npm --silent run dev', `npm --silent run dev -- ${flags}`],
    ['npm run --silent --if-present dev', `npm run --silent --if-present dev -- ${flags}`],
    ['pnpm --silent dev', `pnpm --silent dev ${flags}`],
    ['yarn -s run dev', `yarn -s run dev ${flags}`],
    ['npm start', `npm start -- -- ${flags}`],
    ['pnpm dev', `pnpm dev ${flags}`],
    ['pnpm run dev', `pnpm run dev ${flags}`],
    ['yarn dev --host', `yarn dev --host ${flags}`],
    ['bun run dev', `bun run dev ${flags}`],
    ['npm run build-and-serve', `npm run build-and-serve -- ${flags}`],
    ['npm run dev -- --port 80', undefined],
    ['npm run fixed', undefined],
    ['npm run piped', undefined],
    ['npm run both', undefined],
    ['npm run loop', undefined],
    ['npm run wrong', undefined],
    ['npm run --silent', undefined],
    ['npm run -w web dev', undefined],
    ['npm run dev --workspace=web', undefined],
    ['npm run dev -w web -- --host', undefined],
    ['npm run dev -- -w', `npm run dev -- -w ${flags}`],
    ['npm --prefix=web run dev', undefined],
    ['pnpm --filter web dev', undefined],
    ['npm dev', undefined],
  ]
  for (const [command, found] of cases) t.equal(line(command, scripts), found, command)
})
