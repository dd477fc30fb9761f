import type { BpfMap, BpfRing } from './binding.ts';
import { native } from './native.ts';
import { decodeBatch, type TakeRecord } from './records.ts';
import type { EngineWords } from './words.ts';

/** A flood is read in slices, so that lookups, signals and the heartbeat have their turn. */
const SLICE_MS = 10;
const LAST_READ_MS = 5000;
/** While records come, they are drained this often; a wake-up each would cost five times a record. */
const DRAIN_INTERVAL_MS = 20;
const BATCH_BYTES = 1 << 20;

/** What the programs tell: attempts and processes, from two rings, in an order that names every caller. */
export class RecordStream {
  readonly #events: BpfRing;
  readonly #processes: BpfRing;
  readonly #words: EngineWords;
  readonly #each: TakeRecord;
  #timer: NodeJS.Timeout | null = null;
  #draining = false;
  /** Records of a shape this build does not know. */
  faults = 0;

  constructor(maps: { events: BpfMap; processes: BpfMap }, words: EngineWords, each: TakeRecord) {
    this.#words = words;
    this.#each = each;
    this.#events = native().ringOpen(maps.events);
    this.#processes = native().ringOpen(maps.processes);
    native().ringWatch(this.#events, () => this.#woken());
    native().ringWatch(this.#processes, () => this.#woken());
    this.#words.askToBeWoken();
  }

  /**
   * Reads what there is, for a slice of time at most; true: there was something. Attempts are taken from their ring first and told last: every process an attempt
   * can name was written before it, so is in the other ring by then.
   */
  drain(): boolean {
    if (this.#draining) return false;
    this.#draining = true;
    const until = performance.now() + SLICE_MS;
    try {
      let some = false;
      while (performance.now() < until) {
        const attempts = native().ringConsume(this.#events, BATCH_BYTES);
        let more = attempts.length > 0;
        if (this.drainProcesses()) more = true;
        this.#tell(attempts);
        if (!more) return some;
        some = true;
      }
      return true;
    } finally {
      this.#draining = false;
    }
  }

  /** Reads what there is of processes only, so that who asks now is known; true: there was something. */
  drainProcesses(): boolean {
    for (let some = false; ; some = true) {
      const processes = native().ringConsume(this.#processes, BATCH_BYTES);
      if (processes.length === 0) return some;
      this.#tell(processes);
    }
  }

  /** Reads until there is nothing left, five seconds at most. */
  drainAll(): void {
    const until = performance.now() + LAST_READ_MS;
    while (this.drain() && performance.now() < until);
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    for (const ring of [this.#events, this.#processes]) {
      native().ringUnwatch(ring);
      native().ringClose(ring);
    }
  }

  #tell(batch: Buffer): void {
    if (batch.length > 0)
      decodeBatch(batch, this.#each, () => {
        this.faults++;
      });
  }

  #woken(): void {
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
