import type { LookupFunction } from 'node:net'
import type { DirectoryChoice, Fallback } from './directories/directories.ts'
import type { Name, Rest } from './name.ts'
import type { Transport } from './transports/transport.ts'
import type { TransportName } from './transports/transports.ts'
import type { Reachable, Source } from './wire/protocol.ts'

// The types of the seam between those who ask and those who answer.

export type { Reachable }

/** The place that a name leads to. */
export interface Resolution {
  /** The name that was asked for, with the namespace that it was found in. */
  readonly name: Name
  /** The host as it was asked for, and of any host the one that has the name; `''` is this one. */
  readonly host: string
  /** The endpoints, best first, never none. */
  readonly endpoints: readonly Reachable[]
  /** Milliseconds for which this may be remembered. */
  readonly ttl: number
}

/** Chooses one of the endpoints of a name; they are best first, never none. */
export type Select = (endpoints: readonly Reachable[]) => Reachable

/** The ways to turn a host into addresses. */
export interface LookupHostOptions {
  /** Turns the host into addresses, as the option of `net.connect`. Default `dns.lookup`. */
  lookup?: LookupFunction | undefined
  /** 4 or 6 asks addresses of that family alone. Default 0, both. */
  family?: number | undefined
  /** Flags for `dns.lookup`. Default none. */
  hints?: number | undefined
}

/** The daemon to ask. */
export interface AskOptions extends LookupHostOptions {
  /**
   * The host; `*` is any that offers the name: this one, whose daemon knows of others by its directories, and those at
   * which one of `directories` has seen it. Default this one. To list or watch the names of another, it must allow it
   * (`monikerd --public-list`).
   */
  host?: string | undefined
  /** The designated port of that host's daemon. Default that of the resolver, else `MONIKER_PORT`, else 6664. */
  daemonPort?: number | undefined
  /** Gives the call up; its reason is the error. */
  signal?: AbortSignal | undefined
}

/** The question that `resolve` asks, beside the name. */
export interface ResolveOptions extends AskOptions {
  /**
   * The transports that will do. Default `['tcp']`; to `connect` `['unix', 'tcp']`: to a service on this host the
   * faster one is taken, as long as no particular address is asked for. An object of `Transport` does too: to
   * `connect` it is tried before the words, and left out where it does not allow the call. To `listen` the default is
   * all, `['tcp']` makes no Unix sockets beside the TCP port, and an object has a function `listen`.
   */
  transports?: readonly (TransportName | Transport)[] | undefined
  /**
   * Namespaces to look in if the name is not in its own, at most 4; `''` is the host's own. Default the host's own,
   * if the namespace is that of `MONIKER_NAMESPACE`.
   */
  also?: readonly string[] | undefined
  /**
   * Places to look in, in this order, if the host has no daemon: `'srv'` is the DNS, `'well-known'` this system's
   * table of services. Default none.
   */
  fallback?: readonly Fallback[] | undefined
  /**
   * Directories of the program's own to ask for the host `*`, at most 8, after this host; the next begins 50 ms after
   * the one before. Where one has seen the name, the daemon of that host is asked for it: the first that has it is gone
   * to. A watch tells what they say as it stands. Default those of the resolver, to a watch none.
   */
  directories?: readonly DirectoryChoice[] | undefined
  /** Milliseconds to wait for a name, or a daemon, that is not there yet, at most an hour. Default 0. */
  wait?: number | undefined
}

/** Called with what a look-up has found, or that it failed, as the event `'lookup'` of `net` tells it. */
export type OnLookup = (error: Error | null, address?: string, family?: number) => void

/** Called with where a name may lead, before that is known: nothing is sent there until it is. */
export type OnHint = (hint: Resolution) => void

/** The question of a socket, which tells of look-ups and hints. Its answer is shared, and so it has no `signal`. */
export type SocketQuestion = Omit<ResolveOptions, 'signal'> & {
  onLookup?: OnLookup | undefined
  onHint?: OnHint | undefined
  /**
   * True to be told only of what programs of root, of the user of the daemon, or of this user hold. A daemon that knows
   * nothing of it is `ENOSYS`. Default false.
   */
  trusted?: boolean | undefined
}

/** A question under way. */
export interface Asking {
  /** The last answer, while it is remembered; it may be true no longer. Callers take turns among its endpoints. */
  readonly known: Resolution | undefined
  /** The designated port of the daemon that is asked; `undefined` if nothing may be guessed from it. */
  readonly port: number | undefined
  readonly answer: Promise<Resolution>
  /** Settles when the question has left, if it is to be waited for before a server is called. */
  readonly sent?: Promise<void> | undefined
  /** Called when the answer is wanted no more; once it has come this does nothing. */
  readonly leave: (reason?: unknown) => void
}

/** A place for which the daemon of this host vouches. */
export interface Leased {
  readonly resolution: Resolution
  /**
   * False once the daemon has told otherwise, or can tell no more. A program that was busy has not read yet what has
   * come: it is true of a moment if it is so after the loop has polled since.
   */
  readonly isHeld: boolean
}

/** A resolver: a `Resolver`, or any object that answers as one. It need not remember anything. */
export interface Resolving {
  resolve(name: Name, options?: ResolveOptions): Promise<Resolution>
  /** The question of a socket: what is remembered, at once, and the answer when it comes. */
  ask?(name: Name, options?: SocketQuestion): Asking
  /** The place of a name, if the daemon of this host vouches for it until it tells otherwise: nobody need be asked. */
  leased?(name: Name, options?: SocketQuestion): Leased | undefined
  /** The place of a name, at once if it is remembered. */
  recall?(name: Name, options?: ResolveOptions): Resolution | Promise<Resolution>
  /** Called when the place that was recalled has refused a datagram. */
  doubt?(name: Name, options?: ResolveOptions): void
}

/** The name that a socket has gone to, or that a server is known by; of a URI its user and its path as well. */
export interface Moniker extends Partial<Rest> {
  readonly namespace: string
  readonly service: string
  /** The version found, or offered. */
  readonly version: string
  /** The host as it was asked for, and of any host the one that has the name; `''` is this one. */
  readonly host: string
  /** The directory that says where it is, of what a socket has gone to. */
  readonly source?: Source | undefined
}
