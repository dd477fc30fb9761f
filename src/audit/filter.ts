import type { SQLInputValue } from 'node:sqlite';
import type { EventDestination, EventKind } from '../model/event.ts';
import type { Verdict } from '../model/verdict.ts';

/** Which events are meant: those for which all of it holds. What is left out is not asked. */
export interface EventFilter {
  /** ULID. */
  readonly run?: string | undefined;
  readonly deployment?: string | undefined;
  /** Labels of the run. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly service?: string | undefined;
  /** Asked of each destination, not of each event. */
  readonly destination?: ((destination: EventDestination) => boolean) | undefined;
  readonly verdict?: Verdict | undefined;
  readonly kind?: EventKind | undefined;
  /** A process id, the name of a program as messages have it, or its path. */
  readonly process?: string | undefined;
  /** Nanoseconds since 1970: from this on. */
  readonly since?: bigint | undefined;
  /** Before this. */
  readonly until?: bigint | undefined;
}

/** The SQL function that asks `EventFilter.destination`, given a destination's body. */
export const MATCHES = 'matches_destination';

/** What a query asks for, all of it, with its parameters in order. */
export class Conditions {
  readonly #conditions: string[] = [];
  readonly values: SQLInputValue[] = [];

  add(condition: string, ...values: SQLInputValue[]): this {
    this.#conditions.push(condition);
    this.values.push(...values);
    return this;
  }

  get sql(): string {
    return this.#conditions.join(' AND ') || '1';
  }
}

/** Conditions on `event AS e`. What events share is asked first, and then events by the rows it leaves. */
export function whereEvents(filter: EventFilter): Conditions {
  const where = new Conditions();
  const { run, deployment, labels, service, destination, verdict, kind, process, since, until } = filter;
  const decision = (column: string, value: string | undefined) => {
    if (value !== undefined) where.add(`e.decision IN (SELECT id FROM decision WHERE ${column} = ?)`, value);
  };
  if (run !== undefined) {
    // A run's events are all within its time: the index on time finds them.
    const time = (end: string) => `(SELECT coalesce(${end}_time, 0) FROM run WHERE ulid = ?)`;
    where.add('e.run = (SELECT id FROM run WHERE ulid = ?)', run);
    where.add(`e.time BETWEEN ${time('first')} AND ${time('last')}`, run, run);
  }
  if (labels)
    where.add(
      `e.run IN (SELECT id FROM run WHERE ${whereLabels(labels).sql})`,
      ...whereLabels(labels).values,
    );
  decision('deployment', deployment);
  decision('verdict', verdict);
  decision('kind', kind);
  if (service !== undefined)
    where.add('e.destination IN (SELECT id FROM destination WHERE service = ?)', service);
  if (destination) where.add(`e.destination IN (SELECT id FROM destination WHERE ${MATCHES}(body))`);
  if (process !== undefined) {
    const [column, value] = whichProcess(process);
    where.add(`e.process IN (SELECT id FROM process WHERE ${column} = ?)`, value);
  }
  if (since !== undefined) where.add('e.time >= ?', since);
  if (until !== undefined) where.add('e.time < ?', until);
  return where;
}

/** Conditions on `run`: it has all these labels. */
export function whereLabels(labels: Readonly<Record<string, string>>): Conditions {
  const where = new Conditions();
  for (const [key, value] of Object.entries(labels))
    where.add('EXISTS (SELECT 1 FROM json_each(run.labels) WHERE key = ? AND value = ?)', key, value);
  return where;
}

function whichProcess(process: string): [column: string, value: string | number] {
  if (/^\d+$/.test(process)) return ['pid', Number(process)];
  return process.includes('/') ? ["body ->> '$.exe'", process] : ['program', process];
}
