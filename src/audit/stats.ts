import type { EventDestination, EventKind } from '../model/event.ts';
import { formatTime } from '../model/time.ts';
import type { EventFilter } from './filter.ts';
import type { Decision } from './line.ts';
import type { TrailReader } from './reader.ts';

/** What many calls come to. */
export interface Count {
  /** Repeats counted. */
  readonly calls: number;
  readonly denied: number;
  readonly would_deny: number;
  /** Let through by Acyclic, and ended in an error all the same, or was given up by the caller. */
  readonly failed: number;
  readonly runs: number;
  readonly first: string;
  readonly last: string;
  /** Milliseconds runs spent inside calls that were denied or failed. */
  readonly wait_ms: number;
  /** From the first such call of a run to its last. */
  readonly retry_ms: number;
}

export interface DestinationCount extends Count {
  readonly destination: string;
  readonly service: string | null;
}

export interface ProgramCount extends Count {
  readonly program: string | null;
}

export interface DeploymentCount extends Count {
  readonly deployment: string | null;
}

export interface TimeCount extends Count {
  /** The beginning of the hour or day, UTC. */
  readonly time: string;
}

/** Calls to each destination, most first. `label` is what a destination is called, and counted by. */
export function countDestinations(
  reader: TrailReader,
  filter: EventFilter,
  label: (kind: EventKind, destination: EventDestination) => string,
): DestinationCount[] {
  const services = new Map<string, string | null>();
  const counts = count(reader, filter, 'e.destination', (group, { kind }) => {
    if (group === null) return null;
    const destination = reader.shared.destination(Number(group));
    const name = label(kind, destination);
    services.set(name, services.get(name) ?? destination.service);
    return name;
  });
  return counts.map(([destination, sum]) => ({
    destination,
    service: services.get(destination) ?? null,
    ...sum,
  }));
}

/** Calls of each program, most first. */
export function countPrograms(reader: TrailReader, filter: EventFilter): ProgramCount[] {
  const program = '(SELECT program FROM process WHERE id = e.process)';
  const counts = count(reader, filter, program, (group) => String(group ?? ''));
  return counts.map(([program, sum]) => ({ program: program || null, ...sum }));
}

/** Calls of each deployment, most first. */
export function countDeployments(reader: TrailReader, filter: EventFilter): DeploymentCount[] {
  const counts = count(reader, filter, 'e.destination', (_, { deployment }) => deployment ?? '');
  return counts.map(([deployment, sum]) => ({ deployment: deployment || null, ...sum }));
}

const BUCKET_NS = { hour: 3_600_000_000_000n, day: 86_400_000_000_000n } as const;

/** Calls in each hour or day that has any, in their order. */
export function countOver(
  reader: TrailReader,
  filter: EventFilter,
  bucket: keyof typeof BUCKET_NS,
): TimeCount[] {
  const counts = count(reader, filter, `e.time / ${BUCKET_NS[bucket]}`, (group) => String(group));
  return counts
    .map(([at, sum]) => ({ time: formatTime(BigInt(at) * BUCKET_NS[bucket]), ...sum }))
    .sort((a, b) => (a.time < b.time ? -1 : 1));
}

interface Sum {
  calls: number;
  denied: number;
  wouldDeny: number;
  failed: number;
  waitUs: number;
  first: bigint;
  last: bigint;
  /** Of each run: when its denied or failed calls began and ended; null when it had none. */
  readonly runs: Map<number, { first: bigint; last: bigint } | null>;
}

/**
 * Sums events by a column, in groups that an index holds together, and puts those under one key together. What is
 * no call, or has no key, is left out.
 */
function count(
  reader: TrailReader,
  filter: EventFilter,
  column: string,
  keyOf: (group: string | number | null, decision: Decision) => string | null,
): [key: string, count: Count][] {
  const sums = new Map<string, Sum>();
  const sql = (where: string) =>
    `SELECT ${column} AS part, e.decision, e.run, sum(e.count) AS calls, total(e.duration_us) AS wait,
       CAST(min(e.time) AS TEXT) AS first, CAST(max(e.time) AS TEXT) AS last
     FROM event e WHERE ${where} GROUP BY 1, 2, 3`;
  reader.each(filter, sql, (row) => {
    const decision = reader.shared.decision(Number(row.decision));
    if ((decision.verdict ?? null) === null) return;
    const key = keyOf(row.part as string | number | null, decision);
    if (key === null) return;
    const sum = sums.get(key) ?? emptySum();
    sums.set(key, sum);
    add(sum, decision, row);
  });
  return [...sums]
    .map(([key, sum]) => [key, countOf(sum)] as [string, Count])
    .sort(([, a], [, b]) => b.calls - a.calls);
}

function emptySum(): Sum {
  return { calls: 0, denied: 0, wouldDeny: 0, failed: 0, waitUs: 0, first: 0n, last: 0n, runs: new Map() };
}

function add(sum: Sum, decision: Decision, row: Record<string, unknown>): void {
  const denied = decision.verdict === 'deny';
  const failed = !denied && ((decision.errno ?? null) !== null || decision.abandoned === true);
  const calls = Number(row.calls);
  const [first, last] = [BigInt(String(row.first)), BigInt(String(row.last))];
  sum.calls += calls;
  if (denied) sum.denied += calls;
  if (decision.verdict === 'would-deny') sum.wouldDeny += calls;
  if (failed) sum.failed += calls;
  if (sum.first === 0n || first < sum.first) sum.first = first;
  if (last > sum.last) sum.last = last;
  const run = Number(row.run);
  const before = sum.runs.get(run) ?? null;
  if (!denied && !failed) {
    sum.runs.set(run, before);
    return;
  }
  sum.waitUs += Number(row.wait);
  sum.runs.set(run, {
    first: before && before.first < first ? before.first : first,
    last: before && before.last > last ? before.last : last,
  });
}

function countOf({ calls, denied, wouldDeny, failed, waitUs, first, last, runs }: Sum): Count {
  const retries = [...runs.values()].map((lost) => (lost ? Number(lost.last - lost.first) : 0));
  return {
    ...{ calls, denied, would_deny: wouldDeny, failed, runs: runs.size },
    ...{ first: formatTime(first), last: formatTime(last) },
    wait_ms: Math.round(waitUs / 1000),
    retry_ms: Math.round(retries.reduce((sum, ns) => sum + ns, 0) / 1e6),
  };
}
