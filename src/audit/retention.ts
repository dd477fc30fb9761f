import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { isAlive } from './liveness.ts';
import type { Engine } from './record.ts';

/** How much of the trail is kept. */
export interface Limits {
  /** Milliseconds. */
  readonly ageMs: number;
  /** Bytes of the database. */
  readonly bytes: number;
}

export const LIMITS: Limits = { ageMs: 90 * 86_400_000, bytes: 1 << 30 };

/** Rows deleted at once: some tens of milliseconds, in which others may have to wait. */
const SLICE = 4000;
/** Pages given back to the file system at once. */
const VACUUM_PAGES = 1000;
const SHARED = ['decision', 'destination', 'process'] as const;

/** Keeps the trail within its limits, whole segments at a time, the oldest first; the newest always stays. */
export class Retention {
  readonly #db: DatabaseSync;
  readonly #limits: Limits;
  readonly #oldest: StatementSync;
  readonly #pages: StatementSync;

  constructor(db: DatabaseSync, limits: Limits) {
    this.#db = db;
    this.#limits = limits;
    this.#oldest = db.prepare('SELECT id, last_seq, last_ms FROM segment ORDER BY id LIMIT 2');
    this.#pages = db.prepare(
      `SELECT page_count AS pages, freelist_count AS free, page_size AS size
       FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()`,
    );
  }

  /** Deletes a slice of the oldest segment if it is too old, or if there is too much. True: there is more to do. */
  prune(now: number): boolean {
    const [oldest, next] = this.#oldest.all();
    const { pages = 0, free = 0, size = 0 } = this.#pages.get() as Record<string, number>;
    const tooMuch = (pages - free) * size > this.#limits.bytes;
    const tooOld = oldest !== undefined && Number(oldest.last_ms) < now - this.#limits.ageMs;
    if (oldest && next && (tooMuch || tooOld)) {
      this.#deleteSlice(Number(oldest.id), Number(oldest.last_seq));
      return true;
    }
    // A quarter of what may be kept, free, is kept for what comes; the rest is given back.
    if (free * size > this.#limits.bytes / 4) {
      this.#db.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
      return true;
    }
    return false;
  }

  #deleteSlice(segment: number, lastSeq: number): void {
    const db = this.#db;
    db.exec('BEGIN IMMEDIATE');
    try {
      const deleted = db
        .prepare('DELETE FROM event WHERE seq <= ? AND seq < (SELECT min(seq) FROM event) + ?')
        .run(lastSeq, SLICE).changes;
      if (deleted === 0) this.#deleteShared(segment, lastSeq);
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Its events are gone: now a slice of what they shared, and at last the segment and its runs. */
  #deleteShared(segment: number, lastSeq: number): void {
    for (const table of SHARED) {
      const { changes } = this.#db
        .prepare(
          `DELETE FROM ${table} WHERE id <= (SELECT last_${table} FROM segment WHERE id = ?)
             AND id < (SELECT min(id) FROM ${table}) + ?`,
        )
        .run(segment, SLICE);
      if (changes > 0) return;
    }
    const gone = this.#db
      .prepare('SELECT id, engine, ended IS NULL AS open FROM run WHERE last_seq <= ?')
      .all(lastSeq);
    const remove = this.#db.prepare('DELETE FROM run WHERE id = ?');
    for (const { id, engine, open } of gone) {
      // A quiet run goes on: its row says what it is when its next event comes.
      if (open === 1 && typeof engine === 'string' && isAlive(JSON.parse(engine) as Engine)) continue;
      remove.run(Number(id));
    }
    this.#db.prepare('DELETE FROM segment WHERE id = ?').run(segment);
  }
}
