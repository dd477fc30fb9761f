/**
 * A record on its way to the store, and in the spool: one line of fields between tabs, each of them JSON or plain,
 * so that whoever stores it need not parse what it has seen before. JSON has no tab and no line break of its own.
 *
 *     run    <RunStart>
 *     <id>   <time> <run> <count> <duration_us> <outcome> <rest> <decision> <destination> <caller> <parent> …
 *
 * An empty field is null. The decision holds what events of a run have in common; the caller's ancestry follows it,
 * nearest parent first.
 */
import type { AuditEvent } from '../model/event.ts';
import type { ProcessImage } from '../model/process.ts';
import type { RunSummary } from '../model/summary.ts';
import { parseTime } from '../model/time.ts';
import type { RunStart, TrailRecord } from './record.ts';

/** What many events share: who decided what, and what the caller got. */
export type Decision = Pick<AuditEvent, 'v' | 'host' | 'deployment' | 'policy' | 'kind'> &
  Partial<Pick<AuditEvent, 'verdict' | 'rule' | 'dependency' | 'hook'>> & {
    readonly errno?: string | null;
    /** There where it came to nothing without an error: given up by the caller. */
    readonly abandoned?: true;
  };

/** A line's fields; what is JSON is as it stands there. */
export interface EventLine {
  readonly id: string;
  readonly time: bigint;
  readonly run: string;
  readonly count: number | null;
  readonly durationUs: number | null;
  /** What the outcome holds beside errno and duration; null when there is none. */
  readonly outcome: string | null;
  /** Fields this version does not know; of a summary, all but those every object has. */
  readonly rest: string | null;
  readonly decision: string;
  readonly destination: string | null;
  /** The caller first; empty when it is not known. */
  readonly processes: readonly string[];
}

const RUN = 'run\t';
const SEPARATOR = '\t';
const LEAST_FIELDS = 9;

export function writeLine(record: TrailRecord): string {
  if (record.kind === 'run') return RUN + JSON.stringify(record);
  const { id, time, run, v, host, deployment, policy, kind, ...others } = record as AuditEvent | RunSummary;
  if (kind === 'summary') {
    const decision = JSON.stringify({ v, host, deployment, policy, kind });
    return [id, time, run, '', '', '', JSON.stringify(others), decision, ''].join(SEPARATOR);
  }
  const { count, destination, process, verdict, rule, dependency, outcome, hook, ...rest } = others as Omit<
    AuditEvent,
    'id' | 'time' | 'run' | 'v' | 'host' | 'deployment' | 'policy' | 'kind'
  >;
  const { errno = null, duration_us = null, ...more } = outcome ?? {};
  const fields = [
    ...[id, time, run, String(count), duration_us === null ? '' : String(duration_us)],
    ...[outcome ? JSON.stringify(more) : '', isEmpty(rest) ? '' : JSON.stringify(rest)],
    JSON.stringify({
      ...{ v, host, deployment, policy, kind, verdict, rule, dependency, hook, errno },
      ...(outcome?.result === 'abandoned' ? { abandoned: true } : {}),
    }),
    destination ? JSON.stringify(destination) : '',
  ];
  if (process) {
    const { ancestry, ...caller } = process;
    fields.push(JSON.stringify(caller));
    for (const ancestor of ancestry) fields.push(JSON.stringify(ancestor));
  }
  return fields.join(SEPARATOR);
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}

/** The fields of a line `writeLine` wrote; its JSON is not looked into. Null when it is no such line. */
export function readLine(line: string): RunStart | EventLine | null {
  if (line.startsWith(RUN)) return parseJson(line.slice(RUN.length)) as RunStart | null;
  const fields = line.split(SEPARATOR);
  const [id = '', time = '', run = '', count = '', duration = '', outcome = '', rest = '', decision = ''] =
    fields;
  const at = parseTime(time);
  if (fields.length < LEAST_FIELDS || at === null) return null;
  return {
    ...{ id, time: at, run, count: numberOrNull(count), durationUs: numberOrNull(duration) },
    ...{ outcome: outcome || null, rest: rest || null, decision, destination: fields[8] || null },
    processes: fields.slice(LEAST_FIELDS),
  };
}

function numberOrNull(text: string): number | null {
  return text === '' ? null : Number(text);
}

/** A line with no part wanting: of one that was read back from a disk. */
export function isWhole(line: RunStart | EventLine): boolean {
  if ('kind' in line) return isRunStart(line);
  const { id, run, count, durationUs, outcome, rest, processes } = line;
  const decision = parseJson(line.decision);
  const numbers = [count, durationUs].every((one) => one === null || Number.isFinite(one));
  const objects = [outcome, rest, line.destination].every(
    (json) => json === null || parseJson(json) !== null,
  );
  if (id === '' || run === '' || !numbers || !objects || decision === null) return false;
  const { kind, host, verdict = null, errno = null, deployment } = decision;
  const texts = [verdict, errno, deployment, parseJson(line.destination ?? '')?.service ?? null].every(
    isText,
  );
  return typeof kind === 'string' && typeof host === 'string' && texts && processes.every(isImage);
}

function isRunStart({ run, time, host, deployment, policy, mode, labels, command }: RunStart): boolean {
  const texts = [deployment, policy, mode].every(isText);
  const shapes = typeof labels === 'object' && labels !== null && Array.isArray(command);
  return typeof run === 'string' && typeof host === 'string' && texts && shapes && parseTime(time) !== null;
}

function isImage(json: string): boolean {
  const image = parseJson(json) as ProcessImage | null;
  if (image === null) return false;
  const { pid, exe, comm, argv } = image;
  const words = argv === null || (Array.isArray(argv) && argv.every((word) => typeof word === 'string'));
  return Number.isSafeInteger(pid) && isText(exe) && isText(comm) && words;
}

function isText(value: unknown): boolean {
  return value === null || typeof value === 'string';
}

/** An object of JSON; null for what is none. */
function parseJson(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}
