import { constants, type Stats } from 'node:fs'
import { lstat, open, readlink, type FileHandle } from 'node:fs/promises'
import { BlockList } from 'node:net'
import { dirname, isAbsolute, parse, resolve, sep } from 'node:path'
import {
  Lexer,
  LineCounter,
  Parser,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  type Document,
  type Node,
} from 'yaml'
import { canonical, isIP, isNumeric } from '../address.ts'
import { MonikerError } from '../errors.ts'
import { ACTIONS, Policies, Policy, type Action, type Places, type Rule } from './policy.ts'
import { HOST_POLICY } from '../settings.ts'
import { isRange } from '../version.ts'
import { UserTable, type Users } from './users.ts'

/** The longest file that is read, in bytes. */
export const MAX_FILE = 65_536

/** The deepest nesting of lists and maps. A policy needs half of it. */
export const MAX_DEPTH = 16

/** The most `*` in a pattern: each one makes a failing match slower. */
const MAX_STARS = 4

/** A text of YAML that has been read, and the first error in it. */
interface Parsed {
  document: Document
  /** The line, from 1, of an offset in the text. */
  lineOf(offset: number): number
  wrong: { line: number; message: string } | undefined
}

/**
 * Reads the policy in a file. Fails with `ERR_MONIKER_POLICY`, and the line, if it is not one, or if a user other than
 * root and `own`, by default that of this process, could have written it. That of the host is root's, and so are all
 * folders above it.
 */
export async function loadPolicy(
  file: string,
  isHosts = file === HOST_POLICY,
  own = process.getuid?.(),
): Promise<Policy> {
  const text = await readSafely(file, isHosts, own)
  return parsePolicy(text, file, usersFor(file))
}

/** The users that a policy may name. It cannot be read without. */
function usersFor(file: string): Users {
  try {
    return new UserTable().users
  } catch (error) {
    throw bad(`${file} cannot be read without the users of this host: ${(error as Error).message}`)
  }
}

/** Reads the policies in several files, to be in force together. Fails as `loadPolicy` does. */
export async function loadPolicies(files: readonly string[]): Promise<Policies> {
  return new Policies(await Promise.all(files.map(file => loadPolicy(file))))
}

/** Reads the policy in a text of YAML or JSON; throws `ERR_MONIKER_POLICY`, with the line, on anything else. */
export function parsePolicy(text: string, file: string, users: Users): Policy {
  try {
    return new Reader(text, users).policy(file)
  } catch (error) {
    const { line, message } = error as Wrong
    throw bad(`${file}:${line}: ${message}`)
  }
}

/**
 * Reads YAML or JSON from any source. A text that nests deeper than `MAX_DEPTH` is an error and is not composed: the
 * package composes by recursion, and compiles a regular expression near the end of the stack, which ends the process.
 */
export function parseYaml(text: string): Parsed {
  const lines = new LineCounter()
  const lineOf = (offset: number) => Math.max(lines.linePos(offset).line, 1)
  const deep = tooDeep(text)
  if (deep !== undefined) {
    const line = text.slice(0, deep).split('\n').length
    const message = `expected at most ${MAX_DEPTH} lists and maps in each other`
    return { document: parseDocument(''), lineOf, wrong: { line, message } }
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [error] = [...document.errors, ...document.warnings]
  // A message may quote the whole text.
  const wrong = error && { line: lineOf(error.pos[0]), message: error.message.slice(0, 200) }
  return { document, lineOf, wrong }
}

/** The offset at which the text nests too deep, if it does. The parser keeps a stack of its own, which shows it. */
function tooDeep(text: string): number | undefined {
  const parser = new Parser()
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme));
    if (parser.stack.length > MAX_DEPTH) return parser.offset
  }
  return undefined
}

/** Reads a file. The checks are made on the open file, so it cannot be exchanged between check and read. */
async function readSafely(
  file: string,
  isHosts: boolean,
  own: number | undefined,
): Promise<string> {
  // A pipe in its place must not make us wait for its other end. Windows knows neither flag.
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  let handle: FileHandle
  try {
    handle = await open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const isLink = code === 'ELOOP'
    throw bad(
      `${file} ${isLink ? 'is a symbolic link; give the file itself' : `cannot be read: ${message}`}`,
    )
  }
  try {
    const info = await handle.stat()
    if (!info.isFile()) throw bad(`${file} is no regular file`)
    if (info.size > MAX_FILE) throw bad(`${file} is longer than ${MAX_FILE} bytes`)
    await assertSafe(file, info, isHosts, own)
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}

/**
 * Throws if another user than root, and unless it is the policy of the host `own`, could write to an open file, or
 * exchange it or a folder or link on the way to it.
 */
async function assertSafe(
  file: string,
  info: Stats,
  isHosts: boolean,
  own: number | undefined,
): Promise<void> {
  // Windows has no such owners and modes.
  if (own === undefined) return
  const owners = isHosts ? [0] : [0, own]
  assertOwned(file, info, owners)
  const folder = dirname(file)
  for await (const [path, info] of wayTo(
    isAbsolute(folder) ? folder : `${process.cwd()}${sep}${folder}`,
  )) {
    // In a sticky folder of root, such as that for temporary files, an entry is its owner's to take away. A link has no
    // mode of its own.
    const isSticky = !isHosts && info.uid === 0 && (info.mode & 0o1000) !== 0
    assertOwned(path, info, owners, isSticky || info.isSymbolicLink())
  }
}

function assertOwned(
  path: string,
  { uid, mode }: Stats,
  owners: readonly number[],
  mayWrite = false,
): void {
  if (!owners.includes(uid)) throw bad(`${path} belongs to user ${uid}; chown it to root`)
  if (mayWrite || (mode & 0o022) === 0) return
  throw bad(`${path} can be written by others; chmod it to go-w`)
}

/**
 * Each folder from the top to this one, and each link on the way, as the system goes it. No text is shortened by its
 * `..`, which leads elsewhere behind a link.
 */
async function* wayTo(folder: string): AsyncGenerator<[path: string, info: Stats], void> {
  const rest = folder.split(sep)
  let at = parse(folder).root
  while (rest.length > 0) {
    const next = resolve(at, rest.shift()!)
    const info = await lstat(next)
    yield [next, info]
    if (!info.isSymbolicLink()) at = next
    else {
      const target = await readlink(next)
      if (isAbsolute(target)) at = parse(target).root
      rest.unshift(...target.split(sep))
    }
  }
}

function bad(text: string): MonikerError {
  return new MonikerError('EPOLICY', { text })
}

/** An error in the text. */
class Wrong extends Error {
  readonly line: number

  constructor(line: number, expected: string) {
    super(expected)
    this.line = line
  }
}

type Fields = Map<string, Node>

/** Reads the nodes of one document, and knows the line of each. */
class Reader {
  readonly #parsed: Parsed
  readonly #users: Users

  constructor(text: string, users: Users) {
    this.#parsed = parseYaml(text)
    this.#users = users
  }

  policy(file: string): Policy {
    const { document, wrong } = this.#parsed
    if (wrong) throw new Wrong(wrong.line, wrong.message)
    const top = this.#fields(document.contents, ['rules', 'unproven'])
    const unproven = top.get('unproven')
    const rules = top.get('rules')
    if (!rules) throw new Wrong(1, 'expected "rules", a list')
    if (!isSeq(rules)) throw this.#wrong(rules, 'expected "rules" to be a list')
    return new Policy({
      file,
      rules: rules.items.map(item => this.#rule(item as Node)),
      trustful: unproven ? this.#oneOf(unproven, ['refuse', 'allow']) === 'allow' : false,
    })
  }

  #rule(node: Node): Rule {
    const conditions = ['name', 'namespace', 'version', 'user', 'from', 'to']
    const fields = this.#fields(node, ['allow', 'deny', ...conditions])
    const [allow, deny] = [fields.get('allow'), fields.get('deny')]
    if (!allow === !deny) throw this.#wrong(node, 'expected a rule to have either allow or deny')
    const get = <T>(key: string, read: (node: Node) => T) => {
      const value = fields.get(key)
      return value && { [key]: read(value) }
    }
    return {
      line: this.#lineOf(node),
      allows: Boolean(allow),
      actions: this.#actions((allow ?? deny)!, fields),
      ...get('name', value => this.#patterns(value, /^[\w.+*-]{1,63}$/)),
      ...get('namespace', value => this.#patterns(value, /^[\w.+*-]{0,63}$/)),
      ...get('version', value => this.#range(value)),
      ...get('user', value => this.#uids(value)),
      ...get('from', value => this.#places(value, false)),
      ...get('to', value => this.#places(value, true)),
    }
  }

  /** The actions of a rule. `all` is every action that its other conditions apply to. */
  #actions(node: Node, fields: Fields): Action[] {
    const sensible = ACTIONS.filter(action => !fields.has(action === 'connect' ? 'from' : 'to'))
    const found = this.#texts(node).flatMap(text => {
      const word = this.#oneOf(node, [...ACTIONS, 'all'] as const, text)
      return word === 'all' ? sensible : [word]
    })
    const odd = found.find(action => !sensible.includes(action))
    if (!odd && found.length > 0) return found
    throw this.#wrong(
      node,
      '"from" is where publish, resolve and list come from, "to" where connect goes',
    )
  }

  #patterns(node: Node, allowed: RegExp): RegExp[] {
    return this.#texts(node).map(text => {
      if (allowed.test(text)) return this.#pattern(node, text)
      throw this.#wrong(node, `expected names, in which * is anything, got ${JSON.stringify(text)}`)
    })
  }

  #pattern(node: Node, text: string): RegExp {
    const parts = text.toLowerCase().split(/\*+/)
    if (parts.length > MAX_STARS + 1) throw this.#wrong(node, `expected at most ${MAX_STARS} *`)
    return new RegExp(`^${parts.map(part => part.replaceAll(/[.+\\]/g, '\\$&')).join('.*')}$`)
  }

  #range(node: Node): string {
    const text = this.#texts(node).join(' || ')
    if (isRange(text, 1_024)) return text
    throw this.#wrong(node, `expected a version range such as ^1, got ${JSON.stringify(text)}`)
  }

  #uids(node: Node): Set<number> {
    const uids = this.#texts(node).flatMap(text => {
      const known = /^\d{1,10}$/.test(text) ? [Number(text)] : this.#users.get(text.toLowerCase())
      if (known) return [...known]
      throw this.#wrong(node, `expected users of this host, got ${JSON.stringify(text)}`)
    })
    return new Set(uids)
  }

  #places(node: Node, named: boolean): Places {
    const list = new BlockList()
    const names: RegExp[] = []
    const words = this.#texts(node)
    for (const word of words) {
      if (word === 'local' || word === 'remote' || addTo(list, word)) continue
      const isHost = named && /^[\w.*-]{1,253}$/.test(word) && !isNumeric(word)
      if (!isHost) throw this.#wrong(node, `expected ${places(named)}, got ${JSON.stringify(word)}`)
      names.push(this.#pattern(node, word))
    }
    return { list, names, local: words.includes('local'), remote: words.includes('remote') }
  }

  /** One text or a list of them; a number counts as it is written. */
  #texts(node: Node): string[] {
    const items = (isSeq(node) ? node.items : [node]) as Node[]
    if (items.length === 0) throw this.#wrong(node, 'expected at least one')
    return items.map(item => {
      if (isScalar(item) && typeof item.value === 'string') return item.value
      if (isScalar(item) && typeof item.value === 'number') return item.source!
      throw this.#wrong(item, 'expected a text, or a list of them')
    })
  }

  #oneOf<T extends string>(node: Node, words: readonly T[], text = this.#texts(node)[0]!): T {
    const found = words.find(word => word === text)
    if (found !== undefined) return found
    throw this.#wrong(node, `expected ${words.join(' or ')}, got ${JSON.stringify(text)}`)
  }

  #fields(node: Node | null, known: readonly string[]): Fields {
    if (!isMap(node)) throw this.#wrong(node, `expected fields: ${known.join(', ')}`)
    return new Map(
      node.items.map(({ key, value }) => {
        const text = isScalar(key) ? String(key.value) : ''
        if (!known.includes(text)) {
          throw this.#wrong(
            key as Node,
            `expected only ${known.join(', ')}, got ${JSON.stringify(text)}`,
          )
        }
        if (!value) throw this.#wrong(key as Node, `expected "${text}" to have a value`)
        return [text, value as Node]
      }),
    )
  }

  #wrong(node: Node | null, expected: string): Wrong {
    return new Wrong(this.#lineOf(node), expected)
  }

  #lineOf(node: Node | null): number {
    return this.#parsed.lineOf(node?.range?.[0] ?? 0)
  }
}

/** Adds an address, `address/bits` or `address-address`; `false` if `text` is none of these. */
function addTo(list: BlockList, text: string): boolean {
  const [address = '', bits, none] = text.split('/')
  const [first = '', last, more] = text.split('-')
  try {
    if (isIP(text)) addRange(list, text, text)
    else if (isIP(address) && bits && /^\d{1,3}$/.test(bits) && none === undefined)
      addNetwork(list, address, Number(bits))
    else if (last && more === undefined) addRange(list, first, last)
    else return false
    return true
  } catch {
    // No address, too many bits, or a range that ends before it begins or is of two families.
    return false
  }
}

function addRange(list: BlockList, first: string, last: string): void {
  const [from, to] = [first, last].map(matchable)
  list.addRange(from!, to!, family(from!))
}

/** A network of mapped IPv4 is one of IPv4. */
function addNetwork(list: BlockList, address: string, bits: number): void {
  const network = matchable(address)
  list.addSubnet(network, isIP(address) > isIP(network) ? bits - 96 : bits, family(network))
}

/** The text of an address as the list is asked for it. An address is matched without its zone, so it may have none. */
function matchable(text: string): string {
  const address = canonical(text)
  if (address === undefined || address.includes('%')) throw new TypeError()
  return address
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}

function places(named: boolean): string {
  const addresses =
    'addresses such as 192.0.2.1, 192.0.2.0/24 or 192.0.2.1-192.0.2.9, local or remote'
  return named ? `hosts, or ${addresses}` : addresses
}
