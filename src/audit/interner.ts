import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type ProcessImage, programName } from '../model/process.ts';
import type { Decision } from './line.ts';

/** Characters of text remembered, at most: a run of processes each with 4 KiB of arguments must not fill memory. */
const MOST_CHARACTERS = 4 << 20;

/** A decision's row, and what is counted by. */
export interface DecisionRow {
  readonly id: number;
  readonly kind: string;
  readonly verdict: string | null;
}

/**
 * Gives what events share a row of its own, once as far as it remembers. A second row for the same is no fault:
 * another writer does not know of the first.
 */
export class Interner {
  readonly #insertDecision: StatementSync;
  readonly #insertDestination: StatementSync;
  readonly #insertProcess: StatementSync;
  readonly #decisions = new Map<string, DecisionRow>();
  readonly #destinations = new Map<string, number>();
  /** By the text of the process, after its parent's row. */
  readonly #processes = new Map<string, number>();
  #characters = 0;
  #segment = 0;

  constructor(db: DatabaseSync) {
    this.#insertDecision = db.prepare(
      'INSERT INTO decision (kind, verdict, deployment, body) VALUES (?, ?, ?, ?)',
    );
    this.#insertDestination = db.prepare('INSERT INTO destination (service, body) VALUES (?, ?)');
    this.#insertProcess = db.prepare('INSERT INTO process (parent, pid, program, body) VALUES (?, ?, ?, ?)');
  }

  /** Rows are of this segment from now on. */
  enter(segment: number): void {
    if (segment !== this.#segment) this.forget();
    this.#segment = segment;
  }

  /** After a transaction that came to nothing: its rows are not there. */
  forget(): void {
    this.#decisions.clear();
    this.#destinations.clear();
    this.#processes.clear();
    this.#characters = 0;
  }

  decision(body: string): DecisionRow {
    const known = this.#decisions.get(body);
    if (known) return known;
    const { kind, verdict = null, deployment } = JSON.parse(body) as Decision;
    const { lastInsertRowid } = this.#insertDecision.run(kind, verdict, deployment, body);
    const row = { id: Number(lastInsertRowid), kind, verdict };
    this.#decisions.set(this.#keep(body), row);
    return row;
  }

  destination(body: string): number {
    const known = this.#destinations.get(body);
    if (known !== undefined) return known;
    const { service = null } = JSON.parse(body) as { service?: string | null };
    const id = Number(this.#insertDestination.run(service, body).lastInsertRowid);
    this.#destinations.set(this.#keep(body), id);
    return id;
  }

  /** The caller's row, of a caller and its ancestry; null without one. Each row refers to its parent's. */
  process(bodies: readonly string[]): number | null {
    let parent: number | null = null;
    for (let i = bodies.length - 1; i >= 0; i--) {
      const body = bodies[i] ?? '';
      const key: string = parent === null ? body : `${parent}${body}`;
      parent = this.#processes.get(key) ?? this.#addProcess(key, body, parent);
    }
    return parent;
  }

  #addProcess(key: string, body: string, parent: number | null): number {
    const image = JSON.parse(body) as ProcessImage;
    const id = Number(this.#insertProcess.run(parent, image.pid, programName(image), body).lastInsertRowid);
    this.#processes.set(this.#keep(key), id);
    return id;
  }

  /** A copy to remember: the text itself is a part of a whole message, and would keep all of it. */
  #keep(text: string): string {
    if (this.#characters + text.length > MOST_CHARACTERS) this.forget();
    this.#characters += text.length;
    return Buffer.from(text).toString();
  }
}
