import { join, resolve } from 'node:path';
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { AuditEvent, EventDestination } from '../model/event.ts';
import type { RunSummary } from '../model/summary.ts';
import { AuditFailure } from './failure.ts';
import { type Conditions, type EventFilter, MATCHES, whereEvents } from './filter.ts';
import { asFailure, noRecord, openStore } from './open-store.ts';
import { SharedRows } from './shared-rows.ts';
import { STORE_FILE } from './store.ts';
import { putTogether } from './stored-event.ts';

/** Events read at once: between pages no snapshot is held, so that the store's log can be folded into it. */
const PAGE = 2000;

const COLUMNS = `e.seq, CAST(e.time AS TEXT) AS at, e.id, r.ulid, e.count, e.decision, e.destination, e.process,
  e.duration_us, e.outcome, e.rest`;

type Row = readonly (number | string | null)[];

/** Events beyond a place in the order of record, and that place after them. */
export interface Following {
  readonly events: readonly (AuditEvent | RunSummary)[];
  readonly seq: number;
}

/** The audit trail as readers have it, while others write. Methods throw AuditFailure. */
export class TrailReader {
  readonly directory: string;
  readonly #db: DatabaseSync;
  readonly shared: SharedRows;
  #place: StatementSync | null = null;
  #matches: (destination: EventDestination) => boolean = () => true;

  /** Opens the store of a state directory, which must have one. */
  constructor(directory: string) {
    this.directory = resolve(directory);
    this.#db = openStore(this.directory);
    this.shared = new SharedRows(this.#db);
    this.#db.function(MATCHES, { deterministic: true }, (text) =>
      this.#matches(JSON.parse(String(text)) as EventDestination) ? 1 : 0,
    );
  }

  close(): void {
    this.#db.close();
  }

  /** Events by their time; `newest` of them only, when given. */
  *events(filter: EventFilter, newest?: number): Generator<AuditEvent | RunSummary> {
    const where = this.#where(filter);
    let [time, seq]: [SQLInputValue, number] = newest === undefined ? [0, 0] : this.#newest(where, newest);
    const page = this.#select(
      where,
      '(e.time, e.seq) > (?, ?)',
      'e.time, e.seq',
      PAGE,
      'INDEXED BY event_time',
    );
    for (;;) {
      const { rows, events } = this.#page(page, [...where.values, time, seq]);
      yield* events;
      const last = rows.at(-1);
      if (!last || rows.length < PAGE) return;
      [seq, time] = [Number(last[0]), BigInt(String(last[1]))];
    }
  }

  /** Events recorded beyond `seq`, in the order of record. */
  following(filter: EventFilter, seq: number): Following {
    const end = Number(this.get('SELECT coalesce(max(seq), 0) AS seq FROM event')?.seq);
    const where = this.#where(filter);
    const page = this.#select(where, 'e.seq > ? AND e.seq <= ?', 'e.seq', PAGE);
    const { rows, events } = this.#page(page, [...where.values, seq, end]);
    const last = rows.length < PAGE ? end : Number(rows.at(-1)?.[0]);
    return { events, seq: Math.max(seq, last) };
  }

  /** The event or summary whose id begins so. Throws AuditFailure `no-record` or `ambiguous-id`. */
  event(prefix: string): AuditEvent | RunSummary {
    const id = this.uniqueId('event', prefix);
    const one = this.#prepare(`SELECT ${COLUMNS} FROM event e JOIN run r ON r.id = e.run WHERE e.id = ?`);
    const [event] = this.#page(one, [id]).events;
    if (!event) throw noRecord(prefix, this.directory);
    return event;
  }

  /** The place of an event in the order of record; null: it is not there. */
  placeOf(id: string): number | null {
    this.#place ??= this.#reading(() => this.#db.prepare('SELECT seq FROM event WHERE id = ?'));
    const row = this.#reading(() => this.#place?.get(id));
    return row ? Number(row.seq) : null;
  }

  /** The one id that begins so. Throws AuditFailure `no-record` or `ambiguous-id`. */
  uniqueId(table: 'event' | 'run', prefix: string): string {
    const begin = prefix.toUpperCase();
    const column = table === 'event' ? 'id' : 'ulid';
    const sql = `SELECT ${column} AS id FROM ${table} WHERE ${column} >= ? AND ${column} < ? ORDER BY 1 LIMIT 3`;
    const ids = this.all(sql, [begin, `${begin}~`]).map(({ id }) => String(id));
    const [first, second] = ids;
    if (first === undefined || begin === '') throw noRecord(prefix, this.directory);
    if (second !== undefined && first !== begin)
      throw new AuditFailure(
        'ambiguous-id',
        `several ids begin with \`${begin}\`: ${ids.join(', ')}${ids.length === 3 ? ', …' : ''}`,
        'give more of it',
      );
    return first;
  }

  /** All that `read` reads is as it was at one moment: nothing it refers to is deleted meanwhile. */
  snapshot<T>(read: () => T): T {
    return this.#reading(() => {
      if (this.#db.isTransaction) return read();
      this.#db.exec('BEGIN');
      try {
        return read();
      } finally {
        this.#db.exec('COMMIT');
      }
    });
  }

  /** Rows of any query on the store, whole. */
  all(sql: string, values: readonly SQLInputValue[] = []): Record<string, unknown>[] {
    return this.#reading(() => this.#db.prepare(sql).all(...values));
  }

  get(sql: string, values: readonly SQLInputValue[] = []): Record<string, unknown> | undefined {
    return this.#reading(() => this.#db.prepare(sql).get(...values));
  }

  /** Visits the rows of a query about the events a filter means; `sql` is given its conditions on `event AS e`. */
  each(
    filter: EventFilter,
    sql: (where: string) => string,
    visit: (row: Record<string, unknown>) => void,
  ): void {
    const where = this.#where(filter);
    this.snapshot(() => {
      for (const row of this.#db.prepare(sql(where.sql)).iterate(...where.values)) visit(row);
    });
  }

  #event(row: Row): AuditEvent | RunSummary {
    const [, at, id, run, count, decision, destination, process, durationUs, outcome, rest] = row;
    return putTogether({
      ...{ id: String(id), time: BigInt(String(at)), run: String(run) },
      ...{ count: count as number | null, durationUs: durationUs as number | null },
      ...{ outcome: outcome as string | null, rest: rest as string | null },
      decision: this.shared.decision(Number(decision)),
      destination: destination === null ? null : this.shared.destination(Number(destination)),
      process: process === null ? null : this.shared.process(Number(process)),
    });
  }

  #where(filter: EventFilter): Conditions {
    this.#matches = filter.destination ?? (() => true);
    return whereEvents(filter);
  }

  /** The place by time right before the newest so many. */
  #newest(where: Conditions, count: number): [SQLInputValue, number] {
    const row = this.get(
      `SELECT CAST(e.time AS TEXT) AS at, e.seq FROM event e INDEXED BY event_time WHERE ${where.sql}
       ORDER BY e.time DESC, e.seq DESC LIMIT 1 OFFSET ?`,
      [...where.values, count],
    );
    return row ? [BigInt(String(row.at)), Number(row.seq)] : [0, 0];
  }

  #select(where: Conditions, beyond: string, order: string, limit: number, index = ''): StatementSync {
    return this.#prepare(
      `SELECT ${COLUMNS} FROM event e ${index} JOIN run r ON r.id = e.run WHERE ${where.sql} AND ${beyond}
       ORDER BY ${order} LIMIT ${limit}`,
    );
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#reading(() => this.#db.prepare(sql));
    statement.setReturnArrays(true);
    return statement;
  }

  #page(statement: StatementSync, values: readonly SQLInputValue[]) {
    return this.snapshot(() => {
      const rows = statement.all(...values) as unknown as Row[];
      return { rows, events: rows.map((row) => this.#event(row)) };
    });
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw asFailure(error, join(this.directory, STORE_FILE));
    }
  }
}
