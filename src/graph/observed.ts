import { LONGEST_OBJECT_NAME, OBJECT_NAME } from '../model/object-name.ts';

/** Whoever calls, or needs, a service: a deployment by its runs, or a service that was watched or says so itself. */
export interface Caller {
  readonly kind: 'deployment' | 'service';
  readonly name: string;
}

/** Calls seen on one host, of one caller to one service. */
export interface ObservedEdge {
  readonly from: Caller;
  readonly to: string;
  readonly host: string;
  /** Let through, repeats counted. */
  readonly calls: number;
  /** Stopped, repeats counted. */
  readonly denied: number;
  /** RFC 3339, UTC. */
  readonly first: string;
  readonly last: string;
}

/** What is the same in every line of one edge. */
export function edgeKey({ from, to, host }: Pick<ObservedEdge, 'from' | 'to' | 'host'>): string {
  return JSON.stringify([from.kind, from.name, to, host]);
}

/**
 * Edges told once or several times, each as one. What was told of the same time is not counted twice: counts add
 * up where one telling ends before the other begins, and otherwise the larger holds. So to merge a file again
 * changes nothing, and a count is the least there were.
 */
export function mergeEdges(edges: Iterable<ObservedEdge>): ObservedEdge[] {
  const merged = new Map<string, ObservedEdge>();
  for (const edge of [...edges].sort((a, b) => compareTimes(a.first, b.first))) {
    const known = merged.get(edgeKey(edge));
    merged.set(edgeKey(edge), known ? mergeTwo(known, edge) : edge);
  }
  return [...merged.values()];
}

function mergeTwo(a: ObservedEdge, b: ObservedEdge): ObservedEdge {
  const apart = compareTimes(a.last, b.first) < 0 || compareTimes(b.last, a.first) < 0;
  const count = (x: number, y: number) => (apart ? Math.min(x + y, Number.MAX_SAFE_INTEGER) : Math.max(x, y));
  return {
    ...a,
    calls: count(a.calls, b.calls),
    denied: count(a.denied, b.denied),
    first: compareTimes(a.first, b.first) <= 0 ? a.first : b.first,
    last: compareTimes(a.last, b.last) >= 0 ? a.last : b.last,
  };
}

/** Those seen at this moment or later. */
export function seenSince(edges: readonly ObservedEdge[], since: Date): ObservedEdge[] {
  return edges.filter(({ last }) => Date.parse(last) >= since.getTime());
}

/** The order of two times in UTC, to the nanosecond, with however many digits of a second. */
export function compareTimes(a: string, b: string): number {
  const [one, other] = [sortable(a), sortable(b)];
  return one < other ? -1 : Number(one > other);
}

function sortable(time: string): string {
  const fraction = time.slice(20, -1);
  return `${time.slice(0, 19)}.${fraction.padEnd(9, '0')}`;
}

/** An edge as a line of the file that carries edges between hosts: one JSON object, without a line end. */
export function formatEdge({ from, ...edge }: ObservedEdge): string {
  return JSON.stringify({ v: 1, kind: 'edge', from: { [from.kind]: from.name }, ...edge });
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
/** A host's name, of which no more is said: something to print, without a control character. */
const HOST = /^[\x21-\x7e]{1,253}$/;
const WRONG = {
  json: 'it is not JSON',
  kind: 'it is not an edge of version 1',
  from: 'its `from` names no deployment or service',
  to: 'its `to` names no service',
  host: 'its `host` is no name',
  count: 'its `calls` and `denied` are not counts',
  time: 'its `first` and `last` are not times in UTC, one after the other',
} as const;

/** Reads a line of that file, whoever wrote it; a text says what is wrong with it. Fields it does not know are left. */
export function readEdge(line: string): ObservedEdge | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return WRONG.json;
  }
  const { v, kind, from, to, host, calls, denied, first, last } = Object(value) as Record<string, unknown>;
  if (v !== 1 || kind !== 'edge') return WRONG.kind;
  const caller = readCaller(from);
  if (!caller) return WRONG.from;
  if (!isName(to)) return WRONG.to;
  if (typeof host !== 'string' || !HOST.test(host)) return WRONG.host;
  if (!isCount(calls) || !isCount(denied)) return WRONG.count;
  if (!isTime(first) || !isTime(last) || compareTimes(first, last) > 0) return WRONG.time;
  return { from: caller, to, host, calls, denied, first, last };
}

function readCaller(value: unknown): Caller | null {
  const { deployment, service } = Object(value) as Record<string, unknown>;
  if (isName(deployment) && service === undefined) return { kind: 'deployment', name: deployment };
  return isName(service) && deployment === undefined ? { kind: 'service', name: service } : null;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LONGEST_OBJECT_NAME && OBJECT_NAME.test(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && TIME.test(value) && !Number.isNaN(Date.parse(value));
}
