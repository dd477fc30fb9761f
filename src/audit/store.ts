import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parseTime } from '../model/time.ts';
import { Interner } from './interner.ts';
import type { Decision, EventLine } from './line.ts';
import type { RunStart } from './record.ts';
import { type Limits, Retention } from './retention.ts';
import { migrate } from './schema.ts';
import { makeDirectory, makeFile } from './state-directory.ts';

/** The store within the state directory. */
export const STORE_FILE = 'audit.db';

/** A segment is closed when it has grown to this many events, or to this part of what may be kept, or a day old. */
const MOST_EVENTS = 100_000;
const PART_OF_LIMIT = 8;
const DAY_MS = 86_400_000;
const PAGE_CACHE_KIB = 8 * 1024;
/** Pages of the log before they are moved into the database: 16 MiB. */
const CHECKPOINT_PAGES = 4096;
/** How long another writer is waited for. */
const PATIENCE_MS = 3000;

/** What is written: a line's fields, and what it weighs in characters. */
export interface Weighed {
  readonly line: RunStart | EventLine;
  readonly weight: number;
}

/** What a batch adds to one run. */
interface Gain {
  readonly id: number;
  events: number;
  calls: number;
  denials: number;
  wouldDeny: number;
  first: bigint | null;
  last: bigint | null;
  lastSeq: number;
}

/**
 * The store, as its one writer in this process has it. Every method blocks: it belongs in a worker. A batch that
 * `write` took is on disk: committed with synchronous = FULL, so it outlives the process and the power.
 */
export class Store {
  readonly #db: DatabaseSync;
  readonly #limits: Limits;
  readonly #interner: Interner;
  readonly #retention: Retention;
  readonly #sql: ReturnType<typeof prepare>;

  /** Opens the store of a state directory, made where missing. Throws AuditFailure, and errors of SQLite and Node. */
  constructor(directory: string, limits: Limits) {
    makeDirectory(directory);
    const path = join(directory, STORE_FILE);
    makeFile(path);
    this.#limits = limits;
    this.#db = new DatabaseSync(path, { timeout: PATIENCE_MS });
    try {
      this.#db.exec(
        `PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA cache_size = -${PAGE_CACHE_KIB}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = ${CHECKPOINT_PAGES * 4096}; PRAGMA temp_store = MEMORY`,
      );
      migrate(this.#db);
      this.#interner = new Interner(this.#db);
      this.#retention = new Retention(this.#db, limits);
      this.#sql = prepare(this.#db);
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /** Appends all or none; an event that is there already, by its id, is passed over. Throws errors of SQLite. */
  write(batch: readonly Weighed[]): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const segment = this.#segment(Date.now());
      this.#interner.enter(segment);
      const gains = new Map<string, Gain>();
      let [events, bytes, lastSeq, last] = [0, 0, 0, 0n];
      for (const { line, weight } of batch) {
        if ('kind' in line) {
          this.#begin(line);
          continue;
        }
        const gain = gains.get(line.run) ?? this.#gainOf(line);
        gains.set(line.run, gain);
        const seq = this.#append(line, gain);
        if (seq === null) continue;
        events += 1;
        bytes += weight;
        lastSeq = seq;
        if (line.time > last) last = line.time;
      }
      for (const gain of gains.values()) this.#credit(gain);
      if (events > 0) this.#sql.growSegment.run(events, bytes, lastSeq, Number(last / 1_000_000n), segment);
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#interner.forget();
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Deletes a little of what is too old or too much. True: there is more to delete. */
  prune(): boolean {
    return this.#retention.prune(Date.now());
  }

  /** Waits for other writers no longer than this from now on. */
  setPatience(ms: number): void {
    this.#db.exec(`PRAGMA busy_timeout = ${ms}`);
  }

  close(): void {
    this.#db.close();
  }

  /** The segment that grows; a new one where the last has grown enough. */
  #segment(now: number): number {
    const last = this.#sql.lastSegment.get();
    if (last) {
      const full =
        Number(last.events) >= MOST_EVENTS ||
        Number(last.bytes) >= this.#limits.bytes / PART_OF_LIMIT ||
        Math.abs(now - Number(last.opened_ms)) >= DAY_MS;
      if (!full || Number(last.events) === 0) return Number(last.id);
    }
    return Number(this.#sql.openSegment.run(now).lastInsertRowid);
  }

  #begin({ run, host, deployment, policy, mode, labels, command, engine, time }: RunStart): void {
    const identity = engine && JSON.stringify(engine);
    const values = [
      run,
      host,
      deployment,
      policy,
      mode,
      JSON.stringify(labels),
      JSON.stringify(command),
      identity,
    ];
    this.#sql.beginRun.run(...values, parseTime(time));
  }

  /** The run of an event; it may come before the word that the run has begun, from the spool. */
  #gainOf({ run, decision, time }: EventLine): Gain {
    let row = this.#sql.findRun.get(run);
    if (!row) {
      const { host, deployment, policy } = JSON.parse(decision) as Decision;
      this.#sql.beginRun.run(run, host, deployment, policy, null, null, null, null, time);
      row = this.#sql.findRun.get(run);
    }
    const none = { events: 0, calls: 0, denials: 0, wouldDeny: 0, first: null, last: null, lastSeq: 0 };
    return { id: Number(row?.id), ...none };
  }

  /** The event's place in the trail; null when it is there already. */
  #append(line: EventLine, gain: Gain): number | null {
    const { id, time, count, durationUs, outcome, rest } = line;
    const decision = this.#interner.decision(line.decision);
    const destination = line.destination === null ? null : this.#interner.destination(line.destination);
    const process = this.#interner.process(line.processes);
    const { lastInsertRowid, changes } = this.#sql.append.run(
      ...[id, time, gain.id, decision.id, destination, process, count, durationUs, outcome, rest],
    );
    if (changes === 0) return null;
    const seq = Number(lastInsertRowid);
    gain.events += 1;
    gain.lastSeq = seq;
    if (gain.first === null || time < gain.first) gain.first = time;
    if (gain.last === null || time > gain.last) gain.last = time;
    const { verdict, kind } = decision;
    if (verdict !== null) gain.calls += count ?? 0;
    if (verdict === 'deny') gain.denials += count ?? 0;
    if (verdict === 'would-deny') gain.wouldDeny += count ?? 0;
    if (kind === 'summary') this.#sql.endRun.run(time, seq, gain.id);
    return seq;
  }

  #credit({ id, events, calls, denials, wouldDeny, first, last, lastSeq }: Gain): void {
    if (events > 0) this.#sql.creditRun.run(events, calls, denials, wouldDeny, first, last, lastSeq, id);
  }
}

function prepare(
  db: DatabaseSync,
): Record<
  'lastSegment' | 'openSegment' | 'growSegment' | 'findRun' | 'beginRun' | 'endRun' | 'creditRun' | 'append',
  StatementSync
> {
  const last = (table: string) => `last_${table} = coalesce((SELECT max(id) FROM ${table}), 0)`;
  return {
    lastSegment: db.prepare('SELECT id, events, bytes, opened_ms FROM segment ORDER BY id DESC LIMIT 1'),
    openSegment: db.prepare('INSERT INTO segment (opened_ms) VALUES (?)'),
    growSegment: db.prepare(
      `UPDATE segment SET events = events + ?, bytes = bytes + ?, last_seq = ?, last_ms = max(last_ms, ?),
         ${last('decision')}, ${last('destination')}, ${last('process')}
       WHERE id = ?`,
    ),
    findRun: db.prepare('SELECT id FROM run WHERE ulid = ?'),
    beginRun: db.prepare(
      `INSERT INTO run (ulid, host, deployment, policy, mode, labels, command, engine, started, last_seq)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(seq), 0) FROM event))
       ON CONFLICT (ulid) DO UPDATE SET mode = excluded.mode, labels = excluded.labels,
         command = excluded.command, engine = excluded.engine, started = excluded.started`,
    ),
    endRun: db.prepare('UPDATE run SET ended = ?, summary = ? WHERE id = ?'),
    creditRun: db.prepare(
      `UPDATE run SET events = events + ?1, calls = calls + ?2, denials = denials + ?3, would_deny = would_deny + ?4,
         first_time = min(coalesce(first_time, ?5), ?5), last_time = max(coalesce(last_time, ?6), ?6),
         last_seq = max(last_seq, ?7)
       WHERE id = ?8`,
    ),
    append: db.prepare(
      `INSERT INTO event (id, time, run, decision, destination, process, count, duration_us, outcome, rest)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
    ),
  };
}
