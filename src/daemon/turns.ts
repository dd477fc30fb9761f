/**
 * Work that holds the event loop while it lasts begins in turns of the loop, one in each, and of the users who wait each
 * in turn: whoever asks for much of it holds up neither the heartbeat nor others.
 */
export class Turns {
  /** Who waits, by uid, the next first. */
  readonly #waiting = new Map<number, (() => void)[]>();

  /** Resolves when it is this one's turn. */
  take(uid: number): Promise<void> {
    return new Promise((go) => {
      if (this.#waiting.size === 0) setImmediate(() => this.#next());
      const before = this.#waiting.get(uid);
      if (before) before.push(go);
      else this.#waiting.set(uid, [go]);
    });
  }

  #next(): void {
    const [first] = this.#waiting;
    if (!first) return;
    const [uid, [go, ...others]] = first;
    this.#waiting.delete(uid);
    if (others.length > 0) this.#waiting.set(uid, others);
    go?.();
    if (this.#waiting.size > 0) setImmediate(() => this.#next());
  }
}
