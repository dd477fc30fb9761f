import { native } from '../kernel/native.ts';

/** How long nothing must have happened. */
const IDLE_MS = 10_000;

/**
 * Gives back what an idle daemon does not use: the pages of its program, which are there again from the file when they
 * are needed, and what the allocator keeps. Told of whatever is done.
 */
export class IdleMemory {
  #timer: NodeJS.Timeout | null = null;

  /** Something is being done: not before some seconds without. */
  used(): void {
    if (this.#timer) this.#timer.refresh();
    else
      this.#timer = setTimeout(() => {
        this.#timer = null;
        native().releaseMemory();
      }, IDLE_MS).unref();
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
