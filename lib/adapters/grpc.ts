import { Metadata, experimental, status } from '@grpc/grpc-js'
import { Resolver } from '../client/resolver.ts'

type Target = experimental.GrpcUri
type Found = experimental.StatusOr<experimental.Endpoint[]>

/**
 * Lets gRPC go to names: from then on a client's target may be `moniker:greeter@^1`, or
 * `moniker://theforce.net/greeter@^1` for another host. When its connection is lost the name is asked
 * for anew. TLS verifies the host.
 */
export function register(resolver: Pick<Resolver, 'resolve'> = new Resolver()): void {
  class NameResolver implements experimental.Resolver {
    readonly #target: Target
    readonly #listener: experimental.ResolverListener
    #question: AbortController | undefined

    constructor(target: Target, listener: experimental.ResolverListener) {
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

    async #resolve({ signal }: AbortController): Promise<void> {
      const found = await this.#find(signal)
      if (signal.aborted) return
      this.#question = undefined
      this.#listener(found, {}, null, '')
    }

    async #find(signal: AbortSignal): Promise<Found> {
      const { authority: host = '', path } = this.#target
      try {
        const { endpoints } = await resolver.resolve(path, { host, signal })
        const value = endpoints.map(({ address, port }) => ({
          addresses: [{ host: address, port }],
        }))
        return { ok: true, value }
      } catch (error) {
        const { message: details } = error as Error
        return { ok: false, error: { code: status.UNAVAILABLE, details, metadata: new Metadata() } }
      }
    }
  }
  experimental.registerResolver('moniker', NameResolver)
}
