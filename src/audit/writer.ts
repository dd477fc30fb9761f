import { join } from 'node:path';
import { AuditFailure, isBusy, isDamage, sqliteCode } from './failure.ts';
import { isWhole, readLine } from './line.ts';
import type { Limits } from './retention.ts';
import { drain, Spool, spoolDirectories } from './spool.ts';
import { STORE_FILE, Store, type Weighed } from './store.ts';

/** What the operator is told of the trail, as it happens. */
export type Notice =
  /** The store cannot be written; lines go to this file. */
  | { readonly kind: 'spooling'; readonly reason: string; readonly remedy: string; readonly file: string }
  /** Nor can the spool: lines are lost. */
  | { readonly kind: 'losing'; readonly reason: string; readonly remedy: string }
  /** The store can be written again, or at last; so many lines had waited. */
  | { readonly kind: 'recovered'; readonly lines: number };

export interface WriterOptions {
  readonly directory: string;
  readonly limits: Limits;
  readonly spoolBytes?: number;
  readonly tell: (notice: Notice) => void;
}

const RETRY_MS = 1000;
/** Patience with another writer once it has kept us waiting. */
const SHORT_MS = 100;
/** SQLITE_CONSTRAINT, SQLITE_MISMATCH: a line is at fault, not the store. */
const LINE_AT_FAULT = new Set([19, 20]);
const SQLITE_READONLY = 8;
const SQLITE_FULL = 13;

/** Puts lines into the store, or into the spool while the store cannot be written. It blocks: for a worker. */
export class Writer {
  readonly #options: WriterOptions;
  readonly #directories: readonly string[];
  readonly #spool: Spool;
  #store: Store | null = null;
  /** Milliseconds of `performance.now()`; null while the store takes what it is given. */
  #retryAt: number | null = null;
  /** Why the store cannot be written, and whether that was told. */
  #trouble: Trouble = { reason: '', remedy: '' };
  #told: 'nothing' | 'spooling' | 'losing' = 'nothing';
  /** Lines of this process that wait in the spool, and the file they were last put into. */
  spooled = 0;
  #file: string | null = null;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#directories = spoolDirectories(options.directory);
    this.#spool = new Spool(this.#directories, options.spoolBytes);
    this.#attempt([]);
  }

  /** The file in which lines wait; null when none do. */
  get spoolFile(): string | null {
    return this.spooled > 0 ? this.#file : null;
  }

  /** Keeps lines; they are on disk when it returns, but for those it counts as lost. */
  write(lines: readonly string[]): number {
    const due = this.#retryAt === null || performance.now() >= this.#retryAt;
    const lost = due ? this.#attempt(lines) : null;
    return lost ?? this.#putAside(lines);
  }

  /** Some upkeep while there is nothing to write. True: there is more to do. */
  tidy(): boolean {
    if (!this.#store || this.#retryAt !== null) return false;
    try {
      return this.#store.prune();
    } catch {
      // Another writer is at it, or the next write finds out what is wrong, and tells.
      return false;
    }
  }

  /** Tries a last time to empty the spool, and closes the store. */
  close(): void {
    if (this.#retryAt !== null) this.#attempt([]);
    this.#store?.close();
    this.#store = null;
    this.#spool.close();
  }

  /** Writes to the store, and what has waited for it. Gives the lines at fault; null when the store is. */
  #attempt(lines: readonly string[]): number | null {
    try {
      const store = this.#store ?? new Store(this.#options.directory, this.#options.limits);
      this.#store = store;
      const lost = lines.length > 0 ? writeAll(store, lines) : 0;
      if (this.#retryAt !== null || lines.length === 0) this.#recover(store);
      return lost;
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  #recover(store: Store): void {
    const waited = drain(this.#directories, (lines) => {
      const whole = lines.filter((line) => {
        const fields = readLine(line);
        return fields !== null && isWhole(fields);
      });
      writeAll(store, whole);
    });
    this.#spool.close();
    const troubled = this.#retryAt !== null;
    this.#retryAt = null;
    this.#told = 'nothing';
    this.spooled = 0;
    if (troubled || waited > 0) this.#options.tell({ kind: 'recovered', lines: waited });
  }

  #fail(error: unknown): void {
    const first = this.#retryAt === null;
    this.#retryAt = performance.now() + RETRY_MS;
    if (isBusy(error)) this.#store?.setPatience(SHORT_MS);
    else {
      this.#store?.close();
      this.#store = null;
    }
    if (first) this.#trouble = explain(error, this.#options.directory);
  }

  /** Puts lines into the spool; gives how many are lost, all or none. */
  #putAside(lines: readonly string[]): number {
    try {
      this.#spool.append(lines);
    } catch (error) {
      const { reason, remedy } = this.#trouble;
      if (this.#told !== 'losing')
        this.#options.tell({ kind: 'losing', reason: `${reason}; and ${(error as Error).message}`, remedy });
      this.#told = 'losing';
      return lines.length;
    }
    this.spooled += lines.length;
    this.#file = this.#spool.path;
    if (this.#told === 'nothing') {
      this.#told = 'spooling';
      this.#options.tell({ kind: 'spooling', ...this.#trouble, file: this.#file ?? '' });
    }
    return 0;
  }
}

interface Trouble {
  readonly reason: string;
  readonly remedy: string;
}

/** What keeps the store from being written, in the words of whoever must act. */
function explain(error: unknown, directory: string): Trouble {
  if (error instanceof AuditFailure) return { reason: error.message, remedy: error.remedy };
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const result = sqliteCode(error);
  const store = join(directory, STORE_FILE);
  if (isDamage(error))
    return {
      reason: `the store ${store} is damaged: ${(error as Error).message}`,
      remedy: 'move it away, with its -wal and -shm: the next event makes a new one',
    };
  if (isBusy(error))
    return {
      reason: `another process holds the store ${store}`,
      remedy: 'find it with fuser, and let it go on or end it',
    };
  if (result === SQLITE_FULL || code === 'ENOSPC' || code === 'EDQUOT')
    return { reason: `the disk of ${directory} is full`, remedy: 'make room there' };
  if (result === SQLITE_READONLY || code === 'EROFS')
    return {
      reason: `${directory} is read-only`,
      remedy: 'mount it for writing, or name another directory with --state',
    };
  return {
    reason: `the store in ${directory} cannot be written: ${(error as Error).message}`,
    remedy: 'check the directory, or name another with --state',
  };
}

/** All lines in one transaction; where one of them is at fault, each in its own. Gives how many were at fault. */
function writeAll(store: Store, lines: readonly string[]): number {
  const batch: Weighed[] = [];
  for (const text of lines) {
    const line = readLine(text);
    if (line) batch.push({ line, weight: text.length });
  }
  const unreadable = lines.length - batch.length;
  try {
    store.write(batch);
    return unreadable;
  } catch (error) {
    if (!isLineAtFault(error)) throw error;
    return unreadable + batch.filter((one) => !isWritten(store, one)).length;
  }
}

function isWritten(store: Store, one: Weighed): boolean {
  try {
    store.write([one]);
    return true;
  } catch (error) {
    if (!isLineAtFault(error)) throw error;
    return false;
  }
}

function isLineAtFault(error: unknown): boolean {
  const code = sqliteCode(error);
  if (code !== null) return LINE_AT_FAULT.has(code);
  return error instanceof TypeError || error instanceof SyntaxError;
}
