import type { BpfMap, BpfRing } from './binding.ts';
import type { Journal, JournalEntry } from './journal.ts';
import { native } from './native.ts';
import { decodeBatch, type TakeRecord } from './records.ts';
import type { EngineWords } from './words.ts';

/** A flood is read in slices, so that lookups, signals and the heartbeat have their turn. */
const SLICE_MS = 10;
const LAST_READ_MS = 5000;
/** While records come, they are drained this often; a wake-up each would cost five times a record. */
const DRAIN_INTERVAL_MS = 20;
const BATCH_BYTES = 1 << 20;
/** All that a ring can hold. */
const RING_BYTES = 4 << 20;

/** Where records are kept from when they are taken until what came of them is on disk. */
export interface Keeping {
  readonly journal: Journal;
  /** CLOCK_MONOTONIC milliseconds. */
  now(): number;
  /** Called before the first entry of a half. */
  onTurn(): void;
  /** There is no room: records wait in their rings until some is released, which this resolves after. */
  onFull(): Promise<void>;
}

/** Taken from both rings, and not told yet. */
interface Taken {
  readonly attempts: Buffer;
  readonly processes: Buffer;
}

const NOTHING = Buffer.alloc(0);

/** What the programs tell: attempts and processes, from two rings, in an order that names every caller. */
export class RecordStream {
  readonly #events: BpfRing;
  readonly #processes: BpfRing;
  readonly #words: EngineWords;
  readonly #each: TakeRecord;
  readonly #keeping: Keeping | null;
  /** What found no room in the journal. */
  #waiting: Taken | null = null;
  #timer: NodeJS.Timeout | null = null;
  #draining = false;
  #begun = false;
  /** Records of a shape this build does not know. */
  faults = 0;

  /** @param keeping With it nothing is read before `resume`; without, records are read from now on. */
  constructor(
    maps: { events: BpfMap; processes: BpfMap },
    words: EngineWords,
    each: TakeRecord,
    keeping: Keeping | null = null,
  ) {
    this.#words = words;
    this.#each = each;
    this.#keeping = keeping;
    this.#events = native().ringOpen(maps.events);
    this.#processes = native().ringOpen(maps.processes);
    if (!keeping) this.#begin();
  }

  /**
   * Tells again what an earlier process took from the rings and may not have put on disk, each entry after `at` with
   * the time it was taken in; then goes on where it left off.
   */
  resume(at: (entry: JournalEntry) => void): void {
    for (const entry of this.#keeping?.journal.entries() ?? []) {
      at(entry);
      if (entry.kind === 'note') continue;
      native().ringSkip(entry.kind === 'events' ? this.#events : this.#processes, entry.position);
      this.#tell(entry.bytes);
    }
    this.#begin();
  }

  #begin(): void {
    this.#begun = true;
    native().ringWatch(this.#events, () => this.#woken());
    native().ringWatch(this.#processes, () => this.#woken());
    this.#words.askToBeWoken();
  }

  /**
   * Reads what there is, for a slice of time at most; true: there was something. Attempts are taken from their ring
   * first and told last: every process an attempt can name was written before it, so is in the other ring by then.
   */
  drain(): boolean {
    if (this.#draining || !this.#begun) return false;
    this.#draining = true;
    const until = performance.now() + SLICE_MS;
    try {
      let some = false;
      while (performance.now() < until) {
        const attempts = this.#waiting?.attempts ?? native().ringLook(this.#events, BATCH_BYTES);
        const processes = this.#waiting?.processes ?? native().ringLook(this.#processes, RING_BYTES);
        if (attempts.length + processes.length === 0) return some;
        if (!this.#keep({ attempts, processes })) return some;
        some = true;
        this.#tell(processes);
        this.#tell(attempts);
      }
      return true;
    } finally {
      this.#draining = false;
    }
  }

  /** Reads what there is of processes only, so that who asks now is known; true: there was something. */
  drainProcesses(): boolean {
    if (this.#waiting || !this.#begun) return false;
    const processes = native().ringLook(this.#processes, RING_BYTES);
    if (processes.length === 0 || !this.#keep({ attempts: NOTHING, processes })) return false;
    this.#tell(processes);
    return true;
  }

  /** Reads until there is nothing left, five seconds at most. */
  drainAll(): void {
    const until = performance.now() + LAST_READ_MS;
    while (this.drain() && performance.now() < until);
  }

  close(): void {
    this.#begun = false;
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    for (const ring of [this.#events, this.#processes]) {
      native().ringUnwatch(ring);
      native().ringClose(ring);
    }
  }

  /** Lets the kernel write over what was taken, once it is in the journal. False: there is no room. */
  #keep(taken: Taken): boolean {
    const { attempts, processes } = taken;
    if (this.#keeping) {
      const { journal, now, onTurn, onFull } = this.#keeping;
      const entry = (kind: 'events' | 'processes', ring: BpfRing, bytes: Buffer) =>
        bytes.length > 0 ? [{ kind, time: now(), position: native().ringPosition(ring), bytes }] : [];
      const entries = [
        ...entry('processes', this.#processes, processes),
        ...entry('events', this.#events, attempts),
      ];
      if (!journal.append(entries, onTurn)) {
        this.#waiting = taken;
        void onFull().then(() => this.#woken());
        return false;
      }
    }
    this.#waiting = null;
    if (processes.length > 0) native().ringCommit(this.#processes);
    if (attempts.length > 0) native().ringCommit(this.#events);
    return true;
  }

  #tell(batch: Buffer): void {
    if (batch.length > 0)
      decodeBatch(batch, this.#each, () => {
        this.faults++;
      });
  }

  #woken(): void {
    if (!this.#begun) return;
    this.drain();
    this.#timer ??= setInterval(() => this.#tick(), DRAIN_INTERVAL_MS);
  }

  #tick(): void {
    if (this.drain()) return;
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.#words.askToBeWoken();
    if (this.drain()) this.#woken();
  }
}
