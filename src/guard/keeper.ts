import type { BpfMap } from '../kernel/binding.ts';
import { Journal, type JournalEntry } from '../kernel/journal.ts';
import type { Keeping } from '../kernel/stream.ts';

/** How long a half of the journal that is full waits, so that most of what it holds has come to its end. */
const REST_MS = 10_000;
/** Of what the processes of all runs come to, at the beginning of a half. */
const MOST_RECOLLECTED = 1 << 20;
/** A lookup's note is far shorter; one that is not is not kept. */
const MOST_NOTED = 64 << 10;

/** What is asked of a run (EngineRun). */
interface KeptRun {
  readonly run: bigint;
  recollection(): unknown;
  settle(before: bigint): void;
}

/** Keeps what an engine reads until all that came of it is on disk: whoever takes its runs over reads it again. */
export class Keeper implements Keeping {
  readonly journal: Journal;
  readonly now: () => number;
  readonly #runs: () => Iterable<KeptRun>;
  readonly #flushed: () => Promise<boolean>;
  /** When the half that grows was begun. */
  #turned: number;
  #releasing: Promise<void> | null = null;

  constructor(options: {
    map: BpfMap;
    now: () => number;
    runs: () => Iterable<KeptRun>;
    /** Resolves when what was recorded so far is on disk; false: that cannot be said. */
    flushed: () => Promise<boolean>;
  }) {
    this.journal = new Journal(options.map);
    this.now = options.now;
    this.#runs = options.runs;
    this.#flushed = options.flushed;
    this.#turned = this.journal.turned ?? this.now();
  }

  note(run: bigint, note: unknown): void {
    const bytes = noted(run, note);
    if (bytes.length <= MOST_NOTED) this.journal.append([this.#entry(bytes)], this.onTurn);
  }

  readonly onTurn = (): void => {
    this.#turned = this.now();
    let left = MOST_RECOLLECTED;
    for (const run of this.#runs()) {
      const bytes = noted(run.run, run.recollection());
      if (bytes.length > left) continue;
      left -= bytes.length + 64;
      this.journal.append([this.#entry(bytes)], () => {});
    }
  };

  readonly onFull = (): Promise<void> => this.#release();

  beat(): void {
    if (this.journal.waits && this.now() - this.#turned >= REST_MS) void this.#release();
  }

  #entry(bytes: Buffer): JournalEntry {
    return { kind: 'note', time: this.now(), position: 0n, bytes };
  }

  /** What is still open of it is recorded as it is; then it is on disk, and need not be read again. */
  #release(): Promise<void> {
    this.#releasing ??= this.#settle().finally(() => {
      this.#releasing = null;
    });
    return this.#releasing;
  }

  async #settle(): Promise<void> {
    const before = BigInt(Math.floor(this.#turned * 1e6));
    for (const run of this.#runs()) run.settle(before);
    if (await this.#flushed()) this.journal.release();
  }
}

function noted(run: bigint, note: unknown): Buffer {
  return Buffer.from(JSON.stringify({ run: `${run}`, note }));
}
