import { setImmediate } from 'node:timers/promises';

/** How long a slice of work keeps lookups and records waiting. */
const SLICE_MS = 4;

interface Work {
  readonly steps: Generator<void, unknown>;
  readonly resolve: (given: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does work that is written as small steps in slices, between which lookups, records and the heartbeat have their turn.
 * However much of it there is at a time, it shares the slices.
 */
export class Slices {
  readonly #works: Work[] = [];
  #isBusy = false;

  /** What it is about may be another thing after each step. Gives what the work gives, some steps of others later. */
  run<T>(steps: Generator<void, T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#works.push({ steps, resolve: (given) => resolve(given as T), reject });
      if (!this.#isBusy) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#isBusy = true;
    while (this.#works.length > 0) {
      const until = performance.now() + SLICE_MS;
      for (let work = this.#works.shift(); work; work = this.#works.shift()) {
        if (this.#step(work)) this.#works.push(work);
        if (performance.now() >= until) break;
      }
      await pause();
    }
    this.#isBusy = false;
  }

  /** False: that was its last. */
  #step({ steps, resolve, reject }: Work): boolean {
    try {
      const { done = false, value } = steps.next();
      if (done) resolve(value);
      return !done;
    } catch (error) {
      reject(error);
      return false;
    }
  }
}

/** Lets lookups, records and the heartbeat have their turn, between pieces of work that cannot be cut smaller. */
export const pause: () => Promise<void> = () => setImmediate();

/** Does the same work with nothing else between. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/** The same work for as long as it is wanted, which is asked after each step; then it gives null. */
export function* whileWanted<T>(
  isWanted: () => boolean,
  work: Generator<void, T>,
): Generator<void, T | null> {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (!isWanted()) return null;
    yield;
  }
}
