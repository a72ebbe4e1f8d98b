import { Abort, type Signal } from '../async.ts'

/** The side of a flight that is seen by the one who asks. */
export interface Flying<T> {
  /** Aborts if the question is given up. One that does not look at it cannot be given up. */
  readonly signal: Signal
  /** Tells of what may be the answer. */
  hint(found: T): void
  /** Tells that the question has left this process. */
  left(): void
}

/** One question that several wait for. It is given up when all of them have given it up. */
export class Flight<T> implements Flying<T> {
  readonly #answer: Promise<T>
  #giveUp: Abort | undefined
  #waiting = 0
  #joined = 0
  #onSettled: ((joined: number) => void) | undefined
  #hint: T | undefined
  #onHint: ((hint: T) => void)[] | undefined
  #hasLeft = false
  #onLeft: (() => void)[] | undefined

  /**
   * `ask` asks, and tells this flight how far it has come; `onSettled` is called once, when it has been answered or
   * given up, with the number of those who have joined: it is too late to join then.
   */
  constructor(ask: (flight: Flying<T>) => Promise<T>, onSettled: (joined: number) => void) {
    this.#onSettled = onSettled
    this.#answer = ask(this)
    // All may have given it up when it fails.
    this.#answer.then(
      () => this.#end(),
      () => this.#end(),
    )
  }

  /**
   * The answer, which `turned` may make another for each who joins, and what is to be called once it
   * has come or is wanted no more. `onHint` is called with what may be the answer, if that is known before. `sent` settles when the question has left, if it does; there is none if it has.
   */
  join(
    turned: (answer: T, turn: number) => T,
    onHint?: (hint: T) => void,
  ): {
    answer: Promise<T>
    leave: (reason?: unknown) => void
    sent: Promise<void> | undefined
  } {
    if (onHint) this.#tell(onHint)
    const turn = this.#joined++
    this.#waiting++
    const answer = turn === 0 ? this.#answer : this.#answer.then(found => turned(found, turn))
    return { answer, leave: reason => this.#leave(reason), sent: this.#sent() }
  }

  get signal(): Signal {
    return (this.#giveUp ??= new Abort())
  }

  left(): void {
    this.#hasLeft = true
    for (const onLeft of this.#onLeft ?? []) onLeft()
    this.#onLeft = undefined
  }

  #sent(): Promise<void> | undefined {
    if (this.#hasLeft) return undefined
    return new Promise(resolve => (this.#onLeft ??= []).push(resolve))
  }

  #tell(onHint: (hint: T) => void): void {
    if (this.#hint === undefined) (this.#onHint ??= []).push(onHint)
    else onHint(this.#hint)
  }

  hint(hint: T): void {
    if (!this.#onSettled || this.#hint !== undefined) return
    this.#hint = hint
    for (const onHint of this.#onHint ?? []) onHint(hint)
  }

  #leave(reason: unknown): void {
    if (--this.#waiting > 0 || !this.#onSettled) return
    this.#end()
    this.#giveUp?.abort(reason)
  }

  #end(): void {
    this.#onSettled?.(this.#joined)
    this.#onSettled = undefined
  }
}
