import { statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AuditFailure } from '../audit/failure.ts';
import { TrailReader } from '../audit/reader.ts';
import { STORE_FILE } from '../audit/store.ts';
import type { Tally, TallySnapshot } from '../guard/tally.ts';
import { CONNECT_RESULTS } from '../model/event.ts';
import { formatTarget } from '../model/target.ts';
import { HOSTED, writeWhole } from './run-record.ts';
import { readIfPresent } from './state-file.ts';

/** Events from one time that all tallies are put on file to the next: so many are read by a daemon that takes over. */
const EVERY = 10_000;
const FILE = join(HOSTED, 'tallies');

const count = z.int().min(0);
const each = <T extends z.ZodType>(value: T) => z.array(z.tuple([z.string(), value]));
const snapshot = z.object({
  ...{ calls: count, denials: count, wouldDeny: count, destinations: each(count) },
  cycles: z.array(z.array(z.string())),
  waits: each(
    z.object({
      outcome: z.enum(['denied', ...CONNECT_RESULTS]),
      ...{ attempts: count, waitMs: z.number(), first: z.number(), last: z.number() },
    }),
  ),
  traffic: each(z.object({ sent: count, received: count })),
  staged: z.object({ differs: count, denied: count, allowed: count }).nullable(),
  new: each(z.boolean()),
}) satisfies z.ZodType<TallySnapshot>;

const tallies = z.object({
  v: z.literal(1),
  /** The store these were counted with: in another one, places mean nothing. */
  store: z.string(),
  /** The place in the order of record up to which these have counted. */
  place: count,
  runs: z.record(z.string(), snapshot),
});

type Kept = z.infer<typeof tallies>;

/** What the runs of a daemon have come to, on file now and then, so that it need not be counted from the beginning. */
export class Tallies {
  readonly #state: string;
  readonly #flushed: () => Promise<boolean>;
  readonly #file: string;
  readonly #runs = new Map<string, Tally>();
  /** As a daemon before this one left them, until they have caught up; null: it left none. */
  #kept: Kept | null;
  #since = 0;
  #writing = false;

  /** `state`: the state directory. `flushed`: resolves when what was recorded so far is on disk. */
  constructor(state: string, flushed: () => Promise<boolean>, file = FILE) {
    this.#state = state;
    this.#flushed = flushed;
    this.#file = file;
    this.#kept = readKept(file, storeOf(state));
  }

  /**
   * Goes on with what a run that is taken over had come to when that was put on file last; what it was since is counted
   * by `catchUp`. False: nothing is on file.
   */
  restore(run: string, tally: Tally): boolean {
    const kept = this.#kept?.runs[run];
    if (kept) tally.restore(kept);
    // All there were are on file: one that is not was begun later.
    return this.#kept !== null;
  }

  /** Counts what runs that were restored have recorded since. Throws AuditFailure. */
  catchUp(restored: ReadonlyMap<string, Tally>): void {
    const kept = this.#kept;
    this.#kept = null;
    if (!kept || restored.size === 0) return;
    const reader = openReader(this.#state);
    try {
      for (let { place } = kept; reader; ) {
        const { events, seq } = reader.following({}, place);
        for (const event of events)
          if (!('lost' in event)) restored.get(event.run)?.add(event, formatTarget(event));
        if (seq === place) return;
        place = seq;
      }
    } finally {
      reader?.close();
    }
  }

  /** A run has begun, or is taken over. */
  add(run: string, tally: Tally): void {
    this.#runs.set(run, tally);
  }

  remove(run: string): void {
    this.#runs.delete(run);
  }

  /** An event is recorded, and counted. */
  recorded(id: string): void {
    this.#since += 1;
    if (this.#since < EVERY || this.#writing) return;
    this.#since = 0;
    void this.#write(id);
  }

  /** What is counted by now is on file when the last event of it is on disk. */
  async #write(last: string): Promise<void> {
    this.#writing = true;
    const runs = Object.fromEntries([...this.#runs].map(([run, tally]) => [run, tally.snapshot()]));
    try {
      if (!(await this.#flushed())) return;
      const reader = openReader(this.#state);
      const place = reader?.placeOf(last) ?? null;
      reader?.close();
      if (place !== null)
        writeWhole(this.#file, JSON.stringify({ v: 1, store: storeOf(this.#state), place, runs }));
    } catch {
      // It is tried again: until then what is on file is older.
    } finally {
      this.#writing = false;
    }
  }
}

/** Tells a store from every other there was; null: there is none yet. */
function storeOf(state: string): string | null {
  const found = statSync(join(state, STORE_FILE), { throwIfNoEntry: false });
  return found ? `${found.dev}:${found.ino}:${found.birthtimeMs}` : null;
}

/** Null: nothing is recorded yet. Throws AuditFailure. */
function openReader(state: string): TrailReader | null {
  try {
    return new TrailReader(state);
  } catch (error) {
    if (error instanceof AuditFailure && error.code === 'no-store') return null;
    throw error;
  }
}

/** Null: there is none, or it is not of this version or store, and all is counted from the beginning. */
function readKept(file: string, store: string | null): Kept | null {
  try {
    const kept = tallies.parse(JSON.parse(readIfPresent(file) ?? 'null'));
    return kept.store === store ? kept : null;
  } catch {
    return null;
  }
}
