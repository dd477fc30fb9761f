import { z } from 'zod';
import { type AuditEvent, CONNECT_RESULTS } from './event.ts';
import type { RunSummary } from './summary.ts';

/**
 * The shapes of events and summaries (docs/events.md), for whoever reads them. `object` makes an object's schema:
 * strict to find fields that are not described, open for readers, since fields are added.
 */
function shapes(object: typeof z.strictObject | typeof z.object) {
  const time = z
    .string()
    .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
    .describe('RFC 3339, UTC, nanoseconds');
  const ulid = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  const count = z.int().min(0);
  const text = z.string().nullable();
  const texts = z.array(z.string());
  const argv = texts.nullable().describe('secrets masked, at most 4 KiB, cut at `…`');
  const path = texts.describe('services, from the deployment back to itself; empty where nothing leads back');

  const head = {
    v: z.literal(1).describe('version of this schema'),
    id: ulid.describe('of this object alone'),
    time,
    host: z.string(),
    run: ulid,
    deployment: text,
    policy: z
      .string()
      .regex(/^[0-9a-f]{7}$/)
      .nullable()
      .describe("first seven hex digits of the policy's SHA-256; null when there is none"),
  };

  const image = {
    pid: z.int().min(1),
    start: time.nullable().describe('null when it started before it was watched'),
    uid: z.int().min(0).nullable(),
    comm: text.describe('name of the task, at most 15 bytes'),
    exe: text.describe('path of the program'),
    argv,
  };

  const eventRule = object({
    source: text.describe('`acyclic.yaml:14`, or the option as given'),
    kind: z.enum(['live', 'floor', 'option', 'circular', 'waiver', 'allow', 'audit', 'deny', 'default']),
    reason: text,
    owner: text,
  });
  const connectResult = z.enum(CONNECT_RESULTS);

  const event = object({
    ...head,
    count: z.int().min(1).describe('identical repeats folded into this event'),
    kind: z.enum(['connect', 'send', 'dns', 'exec-outside', 'escape', 'policy']),
    destination: object({
      address: text,
      port: z.int().min(0).max(65535).nullable(),
      protocol: text.describe('`tcp`, `udp`, `icmp`, …; one without a name is its number'),
      names: texts.describe(
        'every name known to lead there; of a lookup the name asked for, then its aliases',
      ),
      service: text,
    }).nullable(),
    process: object({
      ...image,
      ancestry: z.array(object(image)).describe("nearest parent first, the run's command last"),
    }).nullable(),
    verdict: z.enum(['allow', 'deny', 'would-deny']).nullable(),
    rule: eventRule.nullable().describe('what decided'),
    dependency: object({
      kind: z.enum(['direct', 'hidden', 'transient']).nullable(),
      evidence: text,
      path,
    })
      .nullable()
      .describe('what the call makes the deployment depend on; null where no service is known'),
    outcome: object({
      errno: text.describe('`EPERM`; null when it was let through or its end is unknown'),
      duration_us: z
        .number()
        .min(0)
        .nullable()
        .describe(
          'of a call that was denied or failed, until it returned; of a connection, until it was there',
        ),
      result: connectResult
        .nullable()
        .describe('how a TCP connection came about or ended; null while that is not known'),
      bytes_sent: z.int().min(0).nullable().describe('payload of a connection that has ended'),
      bytes_received: z.int().min(0).nullable(),
    }).nullable(),
    attached: z
      .string()
      .optional()
      .describe('the service that called, where it is an attached one and no run'),
    ambiguous: z
      .literal(true)
      .optional()
      .describe('denied since it could not be told which of several names it was for'),
    staged: object({
      policy: z.string(),
      verdict: z.enum(['allow', 'deny', 'would-deny']),
      rule: eventRule,
    })
      .optional()
      .describe('the word of the policy that is evaluated beside'),
    change: object({
      what: z.enum([
        'start',
        'apply',
        'reload',
        'files',
        'rollback',
        'entry-made',
        'entry-removed',
        'entry-lapsed',
      ]),
      by: z.int().min(0).nullable().describe('uid; null where nobody asked'),
      reason: text,
      before: text.describe('the policy that was in force before'),
      changes: texts.describe('what it means otherwise, a line each'),
    })
      .optional()
      .describe('what the daemon changed: the policy in force, or a live entry'),
    listener: object({ pid: z.int().min(1), comm: text, exe: text })
      .optional()
      .describe('who listens at a loopback or own address, where that is outside the run'),
    hook: text.describe('what saw it, as `cgroup/connect4`, `dns`'),
  }).describe('one outbound attempt, or what else is on record');

  const summary = object({
    ...head,
    kind: z.literal('summary'),
    mode: z.enum(['enforce', 'audit', 'unguarded']),
    labels: z.record(z.string(), z.string()),
    calls: count.describe('repeats counted'),
    destinations: count,
    denials: count,
    would_deny: count,
    cycles: z.array(path),
    lost: z.record(z.string(), z.int().min(1)).describe('events lost, by cause'),
    lost_ends: z
      .int()
      .min(1)
      .optional()
      .describe('records of how calls ended that were lost: the event ring was full; absent when none were'),
    waiting: z.array(
      object({
        destination: z.string(),
        outcome: z
          .union([z.literal('denied'), connectResult])
          .describe('denied by the guard, or how its connections failed'),
        attempts: z.int().min(1),
        wait_ms: z.number().min(0).describe('spent inside calls that were denied or failed'),
        retry_ms: z.number().min(0).describe('from the first such attempt to the last'),
      }),
    ),
    traffic: z
      .array(object({ destination: z.string(), bytes_sent: z.int().min(0), bytes_received: z.int().min(0) }))
      .describe('what connections that have ended carried, by destination'),
    staged: object({ policy: z.string(), differs: count, denied: count, allowed: count })
      .nullable()
      .describe('what the staged policy would have decided otherwise'),
    new_destinations: texts.nullable().describe('what no earlier run called; asked for by --fail-on new'),
    exit: object({
      command: z.int().min(0).max(255).nullable(),
      acyclic: z.int().min(0).max(255),
    }),
    duration_ms: z.number().min(0),
    limits: object({
      cpu: z.int().min(1).nullable().describe('hundredths of a processor'),
      memory: z.int().min(1).nullable().describe('bytes'),
      tasks: z.int().min(1).nullable().describe('processes and threads at once'),
      in_force: z.boolean().describe('false: a limit was changed or taken off while the run went on'),
      oom_kills: count.nullable().describe('processes killed for want of memory'),
      oom_group_kills: count.nullable().describe('times that a whole cgroup was killed so'),
      tasks_refused: count.nullable().describe('forks that failed'),
      throttled_ms: count.nullable().describe('time it wanted to run and had to wait'),
    })
      .nullable()
      .describe('what it was limited to, and what became of that; null where there was no guard'),
    leftover: z
      .array(object({ pid: z.int().min(1), comm: text, argv }))
      .describe('what still ran when the command exited'),
    attached: object({
      cgroup: z.string(),
      service: text,
      ended: z.enum(['asked', 'time', 'gone', 'lost']),
      established: z.array(
        object({
          pid: z.int().min(1),
          comm: text,
          address: z.string(),
          port: z.int().min(0).max(65535),
          protocol: z.enum(['tcp', 'udp']),
          service: text,
        }),
      ),
    })
      .optional()
      .describe('where it was no run but an existing cgroup'),
  }).describe('what a run came to; the last of its objects');

  return { event, summary };
}

const strict = shapes(z.strictObject);

/** One line of a report or an export, with no field that is not described. */
export const reportLine = z.union([strict.event, strict.summary]);

type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;
type Same<A, B> = [A, B] extends [B, A] ? true : never;
type Kind = Exclude<AuditEvent['kind'], 'summary'>;
/** What zod makes of an optional field may also be undefined. */
type Exact<T> = { [Key in keyof T]: undefined extends T[Key] ? Exclude<T[Key], undefined> : T[Key] };

/** Cannot be compiled unless the shapes and the types say the same: a field in one alone is an error here. */
export const inStep: readonly [
  Same<Frozen<Exact<z.infer<typeof strict.event>>>, Omit<AuditEvent, 'kind'> & { readonly kind: Kind }>,
  Same<Frozen<Exact<z.infer<typeof strict.summary>>>, RunSummary>,
] = [true, true];

/** The published JSON Schema (docs/events.schema.json). It admits fields it does not describe. */
export function eventsJsonSchema(): object {
  const { event, summary } = shapes(z.object);
  const schema = z.toJSONSchema(z.union([event, summary]), {
    io: 'input',
    target: 'draft-2020-12',
    override: ({ jsonSchema }) => {
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return { $id: 'acyclic-events-v1', title: 'Acyclic events, version 1', ...schema };
}
