import { closeSync, openSync, readSync } from 'node:fs';
import { z } from 'zod';
import type { AuditEvent, EventKind } from '../model/event.ts';
import type { Past, PastQuery, PastRun } from '../model/past.ts';

/** The longest line read; an event has at most a few KiB of each argv. */
const LONGEST_LINE = 4 << 20;
const NEWLINE = 0x0a;

/** A report that cannot be read. */
class ReportFailure extends Error {
  override readonly name = 'ReportFailure';
  readonly code = 'report';
  readonly remedy: string;

  constructor(
    message: string,
    remedy = 'give a file that `acyclic run --report` wrote',
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.remedy = remedy;
  }
}

const text = z.string().nullable();
const image = z.looseObject({
  pid: z.number(),
  start: text,
  uid: z.number().nullable(),
  comm: text,
  exe: text,
  argv: z.array(z.string()).nullable(),
});
const verdict = z.enum(['allow', 'deny', 'would-deny']);
const ruleKind = z.enum([
  'live',
  'floor',
  'option',
  'circular',
  'waiver',
  'allow',
  'audit',
  'deny',
  'default',
]);
const rule = z.looseObject({ source: text, kind: ruleKind, reason: text, owner: text });
const time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);

/** The fields there have been from the first version on; more may be added, and kinds too. */
const eventShape = z.looseObject({
  v: z.literal(1),
  id: z.string(),
  time,
  host: z.string(),
  run: z.string(),
  deployment: text,
  policy: text,
  count: z.number().int().positive(),
  kind: z.string().transform((kind) => kind as EventKind),
  destination: z
    .looseObject({
      address: text,
      port: z.number().int().min(0).max(65535).nullable(),
      protocol: text,
      names: z.array(z.string()),
      service: text,
    })
    .nullable(),
  process: image.extend({ ancestry: z.array(image) }).nullable(),
  verdict: verdict.nullable(),
  rule: rule.nullable(),
  dependency: z
    .looseObject({
      kind: z.enum(['direct', 'hidden', 'transient']).nullable(),
      evidence: text,
      path: z.array(z.string()),
    })
    .nullable(),
  outcome: z
    .looseObject({
      errno: text,
      duration_us: z.number().nullable(),
      result: z
        .enum(['connected', 'refused', 'timed-out', 'reset', 'unreachable', 'abandoned', 'failed'])
        .nullable()
        .default(null),
      bytes_sent: z.number().nullable().default(null),
      bytes_received: z.number().nullable().default(null),
    })
    .nullable(),
  hook: text,
});

const summaryShape = z.looseObject({
  v: z.literal(1),
  kind: z.literal('summary'),
  run: z.string(),
  deployment: text,
  time,
  lost: z.record(z.string(), z.number()),
});

/** The past as reports have it, read anew each time it is asked for. `warn` is told of a line cut short. */
export function pastOfReports(paths: readonly string[], warn: (text: string) => void): Past {
  return {
    *events(query) {
      for (const { line, value } of objectsOf(paths, warn)) {
        if (isSummary(value)) continue;
        const event: AuditEvent = check(eventShape, value, line);
        if (isAsked(event, query)) yield event;
      }
    },
    *runs(query) {
      for (const { line, value } of objectsOf(paths, warn)) {
        if (!isSummary(value)) continue;
        const run: PastRun = check(summaryShape, value, line);
        if (isAsked(run, query)) yield run;
      }
    },
  };
}

function isAsked({ run, deployment, time: at }: Omit<PastRun, 'lost'>, query: PastQuery): boolean {
  return (
    (query.run === null || run.startsWith(query.run.toUpperCase())) &&
    (query.deployment === null || query.deployment === deployment) &&
    (query.since === null || Date.parse(at) >= query.since.getTime())
  );
}

function isSummary(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'summary';
}

function check<T>(shape: z.ZodType<T>, value: unknown, line: Line): T {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue && issue.path.length > 0 ? ` at \`${issue.path.join('.')}\`` : '';
  throw new ReportFailure(`${line.place}: not an event of a run${where}: ${issue?.message}`);
}

interface Line {
  readonly text: string;
  /** `report.jsonl:12`. */
  readonly place: string;
  /** False for a last line that no newline ends. */
  readonly ended: boolean;
}

function* objectsOf(
  paths: readonly string[],
  warn: (text: string) => void,
): Generator<{ line: Line; value: unknown }> {
  for (const path of paths)
    for (const line of linesOf(path)) {
      if (line.text === '') continue;
      let value: unknown;
      try {
        value = JSON.parse(line.text);
      } catch (error) {
        if (line.ended) throw new ReportFailure(`${line.place}: not JSON: ${(error as Error).message}`);
        warn(`${line.place}: the last line is cut short, and passed over`);
        continue;
      }
      yield { line, value };
    }
}

function* linesOf(path: string): Generator<Line> {
  const fd = reading(path, () => openSync(path, 'r'));
  try {
    let rest = Buffer.alloc(0);
    let number = 1;
    const chunk = Buffer.alloc(1 << 16);
    const read = () => reading(path, () => readSync(fd, chunk));
    for (let got = read(); got > 0; got = read()) {
      rest = Buffer.concat([rest, chunk.subarray(0, got)]);
      let start = 0;
      for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE, start)) {
        yield { text: rest.toString('utf8', start, end), place: `${path}:${number++}`, ended: true };
        start = end + 1;
      }
      rest = rest.subarray(start);
      if (rest.length > LONGEST_LINE)
        throw new ReportFailure(`${path}:${number}: a line of over ${LONGEST_LINE >> 20} MiB`);
    }
    yield { text: rest.toString('utf8'), place: `${path}:${number}`, ended: false };
  } finally {
    closeSync(fd);
  }
}

function reading(path: string, read: () => number): number {
  try {
    return read();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = { ENOENT: 'there is no such file', EISDIR: 'it is a directory' };
    const reason = reasons[code ?? ''] ?? message;
    throw new ReportFailure(`cannot read the report ${path}: ${reason}`, undefined, { cause: error });
  }
}
