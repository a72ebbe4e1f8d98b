import { basename } from 'node:path'
import { domainNameOf } from '../gateways/hostnames.ts'
import { parseURI, type Target } from '../name.ts'

/** A program that can be led to names by a proxy. */
interface Program {
  /** The schemes that it knows itself, beside those of the web. */
  readonly schemes: readonly string[]
  /** True if it asks the proxy in `SCHEME_proxy` for a scheme that it does not know, whatever that is. */
  readonly takesAny?: true
  /** Its commands that go to a URI. Default all. */
  readonly commands?: readonly string[]
  /** The options whose value is no place to go to, such as text to send. */
  readonly keeps?: readonly string[]
  /** The variables that keep it from asking its proxy by HTTP. */
  readonly without?: readonly string[]
  /** The variable with the hosts that it may speak to without TLS. */
  readonly trusts?: string
}

/** The schemes that no proxy is to be asked for, whatever the program. */
const COMMON = 'http https ws wss data file ftp ftps git gopher mailto news sftp ssh telnet'.split(
  ' ',
)

/** Any program that is not in the table. */
const OTHER: Program = { schemes: COMMON, takesAny: true }

/** THE TABLE of programs by their name, or by that of the module of Python. */
const PROGRAMS: Readonly<Record<string, Program>> = {
  curl: {
    schemes: [
      ...'dict file ftp ftps gopher gophers imap imaps ldap ldaps mqtt mqtts pop3 pop3s rtmp rtmpe'.split(
        ' ',
      ),
      ...'rtmps rtmpt rtmpte rtmpts rtsp scp sftp smb smbs smtp smtps telnet tftp'.split(' '),
      ...'socks4 socks4a socks5 socks5h'.split(' '),
    ],
    keeps: [
      ...'-d --data --data-ascii --data-binary --data-raw --data-urlencode --json --form-string'.split(
        ' ',
      ),
      ...'-A --user-agent -H --header -e --referer -b --cookie -u --user -w --write-out'.split(' '),
      ...'-x --proxy --preproxy -o --output'.split(' '),
    ],
  },
  git: {
    schemes: 'file ftp ftps git git+ssh ssh ssh+git'.split(' '),
    commands: 'archive clone fetch ls-remote pull push remote submodule'.split(' '),
    keeps: '-C -c --config -o --push-option'.split(' '),
  },
  lynx: {
    schemes: [
      ...COMMON,
      ...'bibp cso finger lynxcgi lynxexec lynxprog nntp rlogin snews tn3270 wais'.split(' '),
    ],
    takesAny: true,
    without: ['SOCKS5_PROXY'],
  },
  pip: { schemes: ['file', 'ftp', ...versioned()], keeps: ['--proxy'], trusts: 'PIP_TRUSTED_HOST' },
  wget: {
    schemes: ['file', 'ftp', 'ftps'],
    keeps: '--body-data --header --post-data --referer -U --user-agent -O --output-document'.split(
      ' ',
    ),
  },
}

/** The schemes by which pip gets what is under version control. */
function versioned(): string[] {
  const ways = 'file ftp git http https lp sftp ssh svn'.split(' ')
  return ['bzr', 'git', 'hg', 'svn'].flatMap(system => ways.map(way => `${system}+${way}`))
}

/** The call of a program, and the variables that it is given; `undefined` is unset. */
export interface ProxiedCall {
  readonly words: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
}

export interface ProxiedOptions {
  /** The host and port of the proxy. */
  proxy: string
  /** False to leave the arguments as they are. */
  rewrite: boolean
  /** The environment that the program would have. */
  env: NodeJS.ProcessEnv
}

/**
 * The call of a program that is to find names by a proxy. Of the programs in the table, arguments that are URIs of ours
 * become such as they understand. Throws on one that none of them could.
 */
export function proxied(
  words: readonly string[],
  { proxy, rewrite, env }: ProxiedOptions,
): ProxiedCall {
  const { program, first } = programOf(words)
  const uris = urisIn(words, program, first)
  const isRewritten = rewrite && !program.takesAny
  const hosts = isRewritten ? uris.map(uri => hostnameFor(uri, words[0]!)) : []
  const changed = [...words]
  for (const [at, hostname] of hosts.entries()) {
    const { index, option, target } = uris[at]!
    const { userinfo, path } = target
    changed[index] = `${option}http://${userinfo && `${userinfo}@`}${hostname}${path}`
  }
  const local = hosts.filter((_, at) => uris[at]!.target.host === '')
  const variables = {
    ...(program.takesAny && schemeVariables(uris, proxy)),
    ...proxyVariables(proxy),
    ...Object.fromEntries((program.without ?? []).map(name => [name, undefined])),
    ...trust(program.trusts, local, env),
  }
  return { words: changed, variables }
}

/** The variables that have a program ask a proxy for everything. */
function proxyVariables(proxy: string): Record<string, string | undefined> {
  const [http, socks] = [`http://${proxy}`, `socks5h://${proxy}`]
  return {
    http_proxy: http,
    HTTP_PROXY: http,
    https_proxy: http,
    HTTPS_PROXY: http,
    all_proxy: socks,
    ALL_PROXY: socks,
    SOCKS5_PROXY: proxy,
    grpc_proxy: http,
    NODE_USE_ENV_PROXY: '1',
    no_proxy: undefined,
    NO_PROXY: undefined,
  }
}

/** The variables of the schemes that the arguments have, which lynx reads. */
function schemeVariables(uris: readonly URIArgument[], proxy: string): Record<string, string> {
  const schemes = uris.map(({ text }) => text.slice(0, text.indexOf(':')).toLowerCase())
  return Object.fromEntries(schemes.map(scheme => [`${scheme}_proxy`, `http://${proxy}`]))
}

/** The hosts beside those that a program trusts already. Names of this host need no TLS. */
function trust(
  name: string | undefined,
  hosts: readonly string[],
  env: NodeJS.ProcessEnv,
): Record<string, string> {
  if (name === undefined || hosts.length === 0) return {}
  return { [name]: [env[name], ...hosts].filter(Boolean).join(' ') }
}

/** The program that is called, and the index of its first argument. */
function programOf(words: readonly string[]): { program: Program; first: number } {
  const name = nameOf(words[0]!)
  const module = name === 'python' ? words.indexOf('-m') + 1 : 0
  const called = module > 0 ? (words[module] ?? '') : name
  const program = Object.hasOwn(PROGRAMS, called) ? PROGRAMS[called]! : OTHER
  return { program, first: module + 1 }
}

/** The name of a program, such as `pip` of `/usr/bin/pip3.11`. */
function nameOf(file: string): string {
  return basename(file).replace(/(?:[\d.]+|\.exe)$/, '')
}

/** An argument that is a URI of ours. */
interface URIArgument {
  readonly index: number
  /** The option that it is the value of, such as `--index-url=`, or `''`. */
  readonly option: string
  readonly text: string
  readonly target: Target
}

function urisIn(words: readonly string[], program: Program, first: number): URIArgument[] {
  if (!goesToURI(words.slice(first), program)) return []
  return words.flatMap((word, index) => {
    const [, option = '', text = ''] = /^(--?[\w-]+=)?(.*)$/s.exec(word)!
    const isKept = [option.slice(0, -1), words[index - 1] ?? ''].some(one => keeps(program, one))
    const target = index < first || isKept ? undefined : targetIn(text, program)
    return target ? [{ index, option, text, target }] : []
  })
}

/** True unless the program has commands, and the one that is called goes nowhere. */
function goesToURI(args: readonly string[], program: Program): boolean {
  if (!program.commands) return true
  const command = args.find(
    (word, index) => !word.startsWith('-') && !keeps(program, args[index - 1] ?? ''),
  )
  return command !== undefined && program.commands.includes(command)
}

/** True of an option whose value stays as it is. It may be the last of several letters. */
function keeps({ keeps = [] }: Program, option: string): boolean {
  return keeps.includes(option) || (/^-\w{2,}$/.test(option) && keeps.includes(`-${option.at(-1)}`))
}

/** The service of a URI of ours; `undefined` of any other text, and of a scheme that the program knows itself. */
function targetIn(text: string, { schemes }: Program): Target | undefined {
  if (!text.includes('://')) return undefined
  try {
    const target = parseURI(text)
    const { namespace, service, version, host } = target
    const isPlain = namespace === '' && version === ''
    if (isPlain && [...WEB, ...schemes].includes(service)) return undefined
    return { ...target, host: host === 'localhost' ? '' : host }
  } catch {
    return undefined
  }
}

const WEB = ['http', 'https']

/** The host name by which a program asks its proxy for a URI. Throws if there is none. */
function hostnameFor({ text, target }: URIArgument, program: string): string {
  const { version, daemonPort, host } = target
  const isPlain = version === '' && daemonPort === undefined
  const hostname = isPlain ? domainNameOf(target, host) : undefined
  if (hostname !== undefined) return hostname
  throw new Error(
    `${program} can ask for ${text} by a host name alone, which has no version, no designated port and no service ` +
      `with a dot; give it the URL that this prints: moniker resolve --url http '${text}'`,
  )
}
