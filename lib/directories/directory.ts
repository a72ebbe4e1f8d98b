import type { Signal } from '../async.ts'
import type { Metadata, Offer, Reachable, ServiceTransport } from '../wire/protocol.ts'

/**
 * One more place where names may be found, and announced. One that throws fails the question with `EHOSTUNREACH`,
 * unless the name is found elsewhere; a watch tells of it by `'lost'`.
 */
export interface Directory {
  /** The word for it: in `directories`, and the `source` of a place that it alone vouches for. */
  readonly name: string
  /**
   * True if the place in a sighting may be gone to where its host has no daemon that could confirm it. Only for a
   * directory whose entries the program trusts as its own settings. Default false.
   */
  readonly final?: boolean | undefined
  /**
   * Pull, by a program that asks: where the service is, best first. The first 8 are followed. `signal` aborts when the
   * answer is wanted no more.
   */
  lookup?(wanted: Wanted, signal: AbortSignal): Promise<readonly Sighting[]>
  /**
   * Push, to a watch: tells `sink` of what is there, and of what comes and goes, until the returned function is called.
   */
  follow?(sink: Sink): () => void
  /** Announces a name of this host, for a daemon. The daemon of this version has no directories yet. */
  publish?(offer: Offer): { update(offer: Offer): void; close(): Promise<void> }
}

/** The service that is looked for. */
export interface Wanted {
  readonly service: string
  /** The namespaces that it may be in, best first; `''` is the host's own. */
  readonly namespaces: readonly string[]
  /** A semver range; `''` is any version. */
  readonly version: string
  readonly transports: readonly ServiceTransport[]
}

/**
 * A service as a directory knows it. The host is asked for it before anything is sent there, so it may be out of date.
 * One with a field that is not what it should be is passed over.
 */
export interface Sighting {
  /** Tells it from the others of this directory. At most 512 characters. */
  readonly id: string
  /** The host that offers it, by name or address. A name that leads to a loopback address leads nowhere. */
  readonly host: string
  /** The designated port of that host's daemon. Default that of the question. */
  readonly daemonPort?: number | undefined
  readonly service: string
  /** Default `''`, the host's own. */
  readonly namespace?: string | undefined
  /** The exact version. Default any. */
  readonly version?: string | undefined
  /** Default any. */
  readonly transport?: ServiceTransport | undefined
  /** The port of the service, if it is known. A watch tells of those alone whose port is. */
  readonly port?: number | undefined
  /** The IP address of the service. Default that of the host. */
  readonly address?: string | undefined
  readonly metadata?: Metadata | undefined
}

/** The receiver of what a directory has to tell. It may be called at any time until `follow` is ended. */
export interface Sink {
  /** A service is there. A sighting whose `id` is there already changes nothing. */
  up(seen: Sighting): void
  /** The service with this `id` has gone. */
  down(id: string): void
  /** The directory cannot be followed for the time being. */
  lost(error: Error): void
}

/** The question where a service is on a host that has no daemon. */
export interface FallbackQuestion {
  readonly service: string
  /** The host as it was asked for; `''` is this one. */
  readonly host: string
  readonly transports: readonly ServiceTransport[]
  /** Turns a host into addresses. */
  readonly look: (host: string) => Promise<readonly string[]> | readonly string[]
  readonly signal: Signal
}

/**
 * The places at a port of each of `addresses`, by the word of `source`. Of the version nothing is known: it is `''`.
 */
export function placesOf(
  source: string,
  addresses: readonly string[],
  port: number,
  transport: ServiceTransport,
): Reachable[] {
  return addresses.map(address => {
    const instance = `${source} ${address} ${port}`
    return { transport, address, port, version: '', instance, source }
  })
}
