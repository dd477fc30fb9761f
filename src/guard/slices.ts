import { setImmediate } from 'node:timers/promises';

/** How long a slice of work keeps lookups and records waiting. */
const SLICE_MS = 4;

/**
 * Does work that is written as small steps in slices, between which lookups, records and the heartbeat have their turn.
 * What it is about may be another thing after each step. Gives what the work gives.
 */
export async function inSlices<T>(work: Generator<void, T>): Promise<T> {
  for (;;) {
    const until = performance.now() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done) return step.value;
    } while (performance.now() < until);
    await pause();
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
