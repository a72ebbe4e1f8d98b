import net from 'node:net'
import { symbolIn } from './symbols.ts'

/** The members of a listener that others are put over. */
type Member = 'emit' | 'close' | 'address' | 'listening' | 'listen' | symbol

/** Members put over those of an object, until they are taken off again. */
export class Shadow {
  readonly #object: object
  readonly #removals: (() => void)[] = []

  constructor(object: object) {
    this.#object = object
  }

  /** Puts `value` over a member. */
  put(member: Member, value: unknown): void {
    const own = Object.getOwnPropertyDescriptor(this.#object, member)
    Object.defineProperty(this.#object, member, { value, configurable: true, writable: true })
    this.#removals.push(() => {
      // The program may have put another in its place since; that one stays.
      if (Reflect.get(this.#object, member) !== value) return
      if (own) Object.defineProperty(this.#object, member, own)
      else Reflect.deleteProperty(this.#object, member)
    })
  }

  /* c8 ignore start -- Node 24.22 and 26 have it, and their tests run there. */
  /**
   * Puts `move` over the method by which Node moves a server to another thread; it is given that method. Does nothing
   * on a Node that has no such method.
   */
  putTransfer(move: (transfer: () => unknown) => unknown): void {
    const transfer =
      kTransfer && (Reflect.get(this.#object, kTransfer) as (() => unknown) | undefined)
    if (transfer) this.put(kTransfer!, () => move(transfer))
  }
  /* c8 ignore stop */

  /** Takes all of them off. */
  remove(): void {
    for (const removal of this.#removals.splice(0)) removal()
  }
}

/** The method by which Node 24.22 and 26 move a server to another thread, with `postMessage`. */
const kTransfer = symbolIn(net.Server.prototype, 'messaging_transfer_symbol')
