import { z } from 'zod';
import { LONGEST_OBJECT_NAME, OBJECT_NAME } from '../model/object-name.ts';

/**
 * What may be asked of the daemon, version 1 (docs/api.md). A body with a key that is not here is refused, and every
 * text has a longest length: it is read before it is known what it is for. Clients import the types alone.
 */
const LONGEST_PATH = 4096;
const LONGEST_ARGUMENT = 128 << 10;
const LONGEST_REASON = 1024;
/** They are in memory and in /run for as long as the run goes on, and any member may have hundreds of runs. */
const MOST_LABELS = 64;
/** A year. */
const LONGEST_ENTRY_SECONDS = 366 * 86_400;
/** PID_MAX_LIMIT of 64-bit Linux. */
const LARGEST_PID = 4_194_304;

// What is shown to people is one line of text: no control characters, and none that reorder or hide.
const line = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u, 'must be one line, without control characters');
const withoutNul = (longest: number) =>
  z
    .string()
    .max(longest)
    .regex(/^[^\0]*$/, 'must hold no NUL');
const absolutePath = withoutNul(LONGEST_PATH).regex(/^\//, 'must be an absolute path');
const objectName = z.string().max(LONGEST_OBJECT_NAME).regex(OBJECT_NAME);
const reason = line(LONGEST_REASON);
/** A DEST, read by the grammar of src/policy/dest.ts. */
const destination = line(512);
const pid = z.int().min(1).max(LARGEST_PID);

const limits = z.strictObject({
  /** Hundredths of one processor. */
  cpu: z.int().min(1).max(9_999_999).nullable(),
  /** Bytes. */
  memory: z.int().min(1).nullable(),
  tasks: z.int().min(1).max(LARGEST_PID).nullable(),
});

/** `POST /v1/runs`. What would loosen the policy is here so that it can be refused with its reason. */
export const createRunBody = z.strictObject({
  deployment: objectName.nullable(),
  /** The program as it was found, and the arguments with argv[0]: for naming and the record, never to be run. */
  file: withoutNul(LONGEST_PATH).min(1),
  command: z.array(withoutNul(LONGEST_ARGUMENT)).min(1).max(16_384),
  cwd: absolutePath,
  /** PATH and HOME of the command, by which its script is read. */
  path: withoutNul(32 << 10),
  home: withoutNul(LONGEST_PATH).nullable(),
  labels: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_./-]{0,62}$/), z.string().max(256))
    .refine((labels) => Object.keys(labels).length <= MOST_LABELS, `must be ${MOST_LABELS} at most`),
  mode: z.enum(['enforce', 'audit']).nullable(),
  requireEnforce: z.boolean(),
  allow: z.array(destination).max(256),
  deny: z.array(destination).max(256),
  default: z.enum(['allow', 'deny']).nullable(),
  failOn: z.enum(['deny', 'cycle', 'new', 'never']),
  leftover: z.enum(['release', 'kill']),
  limits,
  /** Whether to watch how system calls return. */
  syscalls: z.boolean(),
  breakGlass: reason.nullable(),
  /** Whether the command may keep outbound sockets it is started with. */
  allowInherited: z.boolean().default(false),
});
export type CreateRunBody = z.infer<typeof createRunBody>;

/** `POST /v1/runs/:id/command`: a stopped child of the caller, which is to be the run's command. */
export const commandBody = z.strictObject({ pid });

/** `POST /v1/runs/:id/end`. `status`: of the command, 128+n for signal n; null if it was never started. */
export const endRunBody = z.strictObject({
  status: z.int().min(0).max(255).nullable(),
  timedOut: z.boolean(),
});
export type EndRunBody = z.infer<typeof endRunBody>;

/** A file of a policy directory by its place in it. Nothing else can be named, so nothing else can be written. */
const policyPath = z
  .string()
  .max(255)
  .regex(/^((services|deployments)\/)?[A-Za-z0-9_][A-Za-z0-9._-]*\.ya?ml$/, 'must be a file of a policy');

/** `POST /v1/policy/apply`: the whole policy, in place of the one in force. */
export const applyPolicyBody = z.strictObject({
  files: z
    .array(z.strictObject({ path: policyPath, text: z.string().max(8 << 20) }))
    .min(1)
    .max(1000),
  reason: reason.optional(),
});
export type ApplyPolicyBody = z.infer<typeof applyPolicyBody>;

/** `POST /v1/policy/rollback`. `to`: the beginning of a policy's id; left out, the one before. */
export const rollbackPolicyBody = z.strictObject({
  to: z
    .string()
    .regex(/^[0-9a-f]{4,64}$/)
    .optional(),
  reason: reason.optional(),
});
export type RollbackPolicyBody = z.infer<typeof rollbackPolicyBody>;

/** `POST /v1/entries`: a live entry of every deployment, or of one. */
export const createEntryBody = z.strictObject({
  verdict: z.enum(['allow', 'deny']),
  destination,
  /** How long it holds. */
  seconds: z.int().min(1).max(LONGEST_ENTRY_SECONDS),
  reason,
  deployment: objectName.optional(),
});
export type CreateEntryBody = z.infer<typeof createEntryBody>;

/** What is attached to. */
const target = z.discriminatedUnion('kind', [
  /** From the root of the cgroup v2 tree. */
  z.strictObject({ kind: z.literal('cgroup'), path: absolutePath }),
  z.strictObject({ kind: z.literal('pid'), pid }),
  z.strictObject({ kind: z.literal('unit'), unit: z.string().regex(/^[A-Za-z0-9:_.\\@-]{1,255}$/) }),
  /** An id or the beginning of one. */
  z.strictObject({ kind: z.literal('container'), id: z.string().regex(/^[0-9a-f]{6,64}$/) }),
]);

/** `POST /v1/attachments`. `mode`: null is the policy's. */
export const createAttachmentBody = z.strictObject({
  target,
  deployment: objectName.nullable(),
  mode: z.enum(['enforce', 'audit']).nullable(),
  reason: reason.optional(),
});
export type CreateAttachmentBody = z.infer<typeof createAttachmentBody>;

/** `GET /v1/guarded?cgroup=`: a place in the cgroup tree; left out, that of who asks. */
export const guardedPlace = line(LONGEST_PATH).regex(
  /^\//,
  'must be a path from the root of the cgroup tree',
);

/** Ids in paths are ULIDs. */
export const runId = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/);

/** Why a request failed, as `error.code` has it; docs/api.md explains each. Others are of the layers below. */
export type ApiErrorCode =
  | 'bad-request'
  | 'refused'
  | 'not-found'
  | 'method'
  | 'conflict'
  | 'too-large'
  | 'loosens'
  | 'nested'
  | 'busy'
  | 'slow'
  | 'internal';

/** The body of every answer that is an error. */
export interface ApiError {
  readonly error: {
    /** An ApiErrorCode, or a code of docs/errors.md. */
    readonly code: string;
    readonly message: string;
    /** What to do next; null when the message says it. */
    readonly remedy: string | null;
  };
}
