import { parse } from '../name.ts'
import { Resolver } from '../resolver.ts'

/** What of `@grpc/grpc-js` is needed here. */
export interface Grpc {
  readonly Metadata: new () => object
  readonly status: { readonly UNAVAILABLE: number }
  readonly experimental: {
    registerResolver(scheme: string, resolver: ResolverClass): void
  }
}

interface Target {
  readonly authority?: string
  readonly path: string
}

type Result = { ok: true; value: object[] } | { ok: false; error: object }
type Listener = (result: Result, attributes: object, config: null, note: string) => boolean
type ResolverClass = {
  new (target: Target, listener: never): { updateResolution(): void; destroy(): void }
  getDefaultAuthority(target: Target): string
}

/**
 * Lets gRPC go to names: after `register(grpc)` a client's target may be `moniker:greeter@^1`, or
 * `moniker://theforce.net/greeter@^1` for another host. When its connection is lost the name is asked
 * for anew. TLS verifies the host's name.
 */
export function register(grpc: Grpc, resolver: Pick<Resolver, 'resolve'> = new Resolver()): void {
  class NameResolver {
    readonly #target: Target
    readonly #listener: Listener
    #question: AbortController | undefined

    constructor(target: Target, listener: Listener) {
      this.#target = target
      this.#listener = listener
    }

    static getDefaultAuthority({ authority }: Target): string {
      return authority || 'localhost'
    }

    updateResolution(): void {
      if (!this.#question) void this.#resolve((this.#question = new AbortController()))
    }

    destroy(): void {
      this.#question?.abort()
      this.#question = undefined
    }

    async #resolve(question: AbortController): Promise<void> {
      const result = await this.#find(question.signal)
      if (question.signal.aborted) return
      this.#question = undefined
      this.#listener(result, {}, null, '')
    }

    async #find(signal: AbortSignal): Promise<Result> {
      const { authority = '', path } = this.#target
      try {
        const { endpoints } = await resolver.resolve(parse(path), { host: authority, signal })
        return {
          ok: true,
          value: endpoints.map(({ address: host, port }) => ({ addresses: [{ host, port }] })),
        }
      } catch (error) {
        const { message: details } = error as Error
        return {
          ok: false,
          error: { code: grpc.status.UNAVAILABLE, details, metadata: new grpc.Metadata() },
        }
      }
    }
  }
  grpc.experimental.registerResolver('moniker', NameResolver)
}
