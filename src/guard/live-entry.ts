import { SetupFailure } from '../kernel/failure.ts';
import {
  identify,
  type RunCounts,
  type RunEntry,
  type RunOrigins,
  removeEntry,
  writeEntry,
} from './registry.ts';

/** How often what was counted is put on file. */
const WRITE_MS = 500;

/** Policies whose records may still be to be read. */
const MOST_GENERATIONS = 8;

/** What does not change while a run lives. */
type Fixed = Omit<RunEntry, 'v' | 'engine' | 'command' | 'counts'>;

/** The entry of a run of this process, from its setting up on. */
export class LiveEntry {
  #entry: RunEntry;
  /** What is on file, as text; null when that is not known. */
  #written: string | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** Puts the run on file, or in the hands of this process if it is there. Throws SetupFailure `state`. */
  constructor(fixed: Fixed | RunEntry) {
    const engine = identify(process.pid);
    if (!engine)
      throw new SetupFailure('state', 'cannot read /proc/self/stat', 'check that /proc is mounted');
    this.#entry = { v: 1, command: null, counts: null, ...fixed, engine };
    writeEntry(this.#entry);
  }

  /** Puts on file what another process needs to take the run over. */
  outlive(origins: RunOrigins): void {
    this.#entry = { ...this.#entry, origins };
    writeEntry(this.#entry);
  }

  /** A policy is about to be in force. */
  inForce(generation: number, policy: string | null): void {
    const { origins } = this.#entry;
    if (!origins) return;
    const generations = [...origins.generations.slice(1 - MOST_GENERATIONS), { generation, policy }];
    this.#entry = { ...this.#entry, policy, origins: { ...origins, generations } };
    this.#write();
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
