import type { RunSummary } from '../model/summary.ts';
import { formatTime } from '../model/time.ts';
import { AuditFailure } from './failure.ts';
import { Conditions, whereLabels } from './filter.ts';
import { isAlive } from './liveness.ts';
import type { TrailReader } from './reader.ts';
import type { Engine } from './record.ts';

/** Which runs are meant: those for which all of it holds. */
export interface RunFilter {
  readonly deployment?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Nanoseconds since 1970: begun from this on. */
  readonly since?: bigint | undefined;
  /** Begun before this. */
  readonly until?: bigint | undefined;
}

/** A run as it is on record. What is unknown is null. */
export interface RunRecord {
  readonly v: 1;
  readonly run: string;
  readonly host: string;
  readonly deployment: string | null;
  readonly policy: string | null;
  readonly mode: RunSummary['mode'] | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly command: readonly string[] | null;
  readonly started: string;
  readonly ended: string | null;
  /** `lost`: Acyclic was killed, or the host went down, and its end is not on record. */
  readonly state: 'running' | 'ended' | 'lost';
  /** On record so far. */
  readonly events: number;
  readonly calls: number;
  readonly denials: number;
  readonly would_deny: number;
  readonly summary: RunSummary | null;
}

const SELECT = `SELECT run.ulid, run.host, run.deployment, run.policy, run.mode, run.labels, run.command, run.engine,
  CAST(run.started AS TEXT) AS started, CAST(run.ended AS TEXT) AS ended, run.events, run.calls, run.denials,
  run.would_deny, event.id AS summary
  FROM run LEFT JOIN event ON event.seq = run.summary`;

/** What a daemon changed lies under an id of its own, under which no run was ever begun. */
const IS_RUN = `(run.mode IS NOT NULL OR NOT EXISTS (SELECT 1 FROM event AS last
  WHERE last.seq = run.last_seq AND last.run = run.id AND last.rest ->> '$.change' IS NOT NULL))`;

/** Runs by their beginning; `newest` of them only, when given. */
export function listRuns(reader: TrailReader, filter: RunFilter, newest = -1): RunRecord[] {
  const { deployment, labels = {}, since, until } = filter;
  const where = new Conditions().add(IS_RUN);
  if (deployment !== undefined) where.add('run.deployment = ?', deployment);
  if (since !== undefined) where.add('run.started >= ?', since);
  if (until !== undefined) where.add('run.started < ?', until);
  const labelled = whereLabels(labels);
  where.add(labelled.sql, ...labelled.values);
  const sql = `${SELECT} WHERE ${where.sql} ORDER BY run.started DESC, run.id DESC LIMIT ?`;
  return reader.snapshot(() =>
    reader
      .all(sql, [...where.values, newest])
      .map((row) => recordOf(reader, row))
      .reverse(),
  );
}

/** The run whose id begins so. Throws AuditFailure `no-record` or `ambiguous-id`. */
export function findRun(reader: TrailReader, prefix: string): RunRecord {
  const id = reader.uniqueId('run', prefix);
  const run = runOf(reader, id);
  if (run) return run;
  throw new AuditFailure(
    'no-record',
    `\`${id}\` is no run: a daemon recorded what it changed under it`,
    `try: acyclic audit list --run ${id}`,
  );
}

/** The run of an event, by its whole id; null: it is of none, but a change of the daemon. */
export function runOf(reader: TrailReader, id: string): RunRecord | null {
  const [row] = reader.all(`${SELECT} WHERE run.ulid = ? AND ${IS_RUN}`, [id]);
  return row ? recordOf(reader, row) : null;
}

function recordOf(reader: TrailReader, row: Record<string, unknown>): RunRecord {
  const text = (column: string) => (row[column] === null ? null : String(row[column]));
  const json = (column: string) => JSON.parse(text(column) ?? 'null');
  const time = (column: string) => (row[column] === null ? null : formatTime(BigInt(String(row[column]))));
  const ended = time('ended');
  const engine: Engine | null = json('engine');
  const summary = text('summary');
  return {
    v: 1,
    ...{
      run: String(row.ulid),
      host: String(row.host),
      deployment: text('deployment'),
      policy: text('policy'),
    },
    ...{ mode: text('mode') as RunRecord['mode'], labels: json('labels') ?? {}, command: json('command') },
    ...{ started: time('started') ?? '', ended },
    state: ended !== null ? 'ended' : engine && isAlive(engine) ? 'running' : 'lost',
    ...{ events: Number(row.events), calls: Number(row.calls) },
    ...{ denials: Number(row.denials), would_deny: Number(row.would_deny) },
    summary: summary === null ? null : (reader.event(summary) as RunSummary),
  };
}
