import { SetupFailure } from '../kernel/failure.ts';
import { identify, type RunCounts, type RunEntry, removeEntry, writeEntry } from './registry.ts';

/** How often what was counted is put on file. */
const WRITE_MS = 500;

/** What does not change while a run lives. */
type Fixed = Omit<RunEntry, 'v' | 'engine' | 'command' | 'counts'>;

/** The entry of a run of this process, from its setting up on. */
export class LiveEntry {
  #entry: RunEntry;
  /** What is on file, as text; null when that is not known. */
  #written: string | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** Puts the run on file. Throws SetupFailure `state`. */
  constructor(fixed: Fixed) {
    const engine = identify(process.pid);
    if (!engine)
      throw new SetupFailure('state', 'cannot read /proc/self/stat', 'check that /proc is mounted');
    this.#entry = { v: 1, engine, command: null, counts: null, ...fixed };
    writeEntry(this.#entry);
  }

  commandStarted(pid: number): void {
    this.#entry = { ...this.#entry, command: identify(pid) };
    this.#write();
  }

  /** From now on what is counted is on file, at most half a second late; with what was lost besides, by cause. */
  follow(count: () => RunCounts, lost: () => Readonly<Record<string, number>>): void {
    this.#timer = setInterval(() => {
      const counts = count();
      this.#entry = { ...this.#entry, counts: { ...counts, lost: { ...lost(), ...counts.lost } } };
      this.#write();
    }, WRITE_MS);
  }

  unfollow(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  remove(): void {
    removeEntry(this.#entry.id);
  }

  /** A full /run is no reason to end a run: the entry stays as it was, and is written the next time. */
  #write(): void {
    const text = JSON.stringify(this.#entry);
    if (text === this.#written) return;
    try {
      writeEntry(this.#entry);
      this.#written = text;
    } catch (error) {
      if (!(error instanceof SetupFailure)) throw error;
      this.#written = null;
    }
  }
}
