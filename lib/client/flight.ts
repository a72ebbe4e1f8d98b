import { Abort, type Signal } from '../async.ts'

/** One question that several wait for. It is given up when all of them have given it up. */
export class Flight<T> {
  readonly #answer: Promise<T>
  #giveUp: Abort | undefined
  #waiting = 0
  #joined = 0
  #onSettled: ((joined: number) => void) | undefined
  #hint: T | undefined
  #onHint: ((hint: T) => void)[] | undefined

  /**
   * `ask` calls `signal` if it can be given up, and `hint` with what may be the answer; `onSettled` is called once,
   * when it has been answered or given up, with the number of those who have joined: it is too late to join then.
   */
  constructor(
    ask: (signal: () => Signal, hint: (found: T) => void) => Promise<T>,
    onSettled: (joined: number) => void,
  ) {
    this.#onSettled = onSettled
    this.#answer = ask(
      () => (this.#giveUp ??= new Abort()),
      hint => this.#hinted(hint),
    )
    // All may have given it up when it fails.
    this.#answer.then(
      () => this.#end(),
      () => this.#end(),
    )
  }

  /**
   * The answer, which `turned` may make another for each who joins, and what is to be called once it
   * has come or is wanted no more. `onHint` is called with what may be the answer, if that is known before.
   */
  join(
    turned: (answer: T, turn: number) => T,
    onHint?: (hint: T) => void,
  ): {
    answer: Promise<T>
    leave: (reason?: unknown) => void
  } {
    if (onHint) this.#tell(onHint)
    const turn = this.#joined++
    this.#waiting++
    const answer = turn === 0 ? this.#answer : this.#answer.then(found => turned(found, turn))
    return { answer, leave: reason => this.#leave(reason) }
  }

  #tell(onHint: (hint: T) => void): void {
    if (this.#hint === undefined) (this.#onHint ??= []).push(onHint)
    else onHint(this.#hint)
  }

  #hinted(hint: T): void {
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
