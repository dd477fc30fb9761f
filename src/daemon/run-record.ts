import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { LoadedPolicy } from '../guard/policy-files.ts';

/** What a daemon must know of a run to go on with it, in memory as the guard is: neither outlives the host. Root's alone. */
export const HOSTED = '/run/acyclic/hosted';
const POLICIES = join(HOSTED, 'policies');

const process = z.object({ pid: z.int().positive(), start: z.string() });
/** `id` and `level` as in Cgroup. */
const cgroup = z.object({ path: z.string(), id: z.string().regex(/^\d{1,20}$/), level: z.int().min(0) });
const texts = z.array(z.string());
const limits = z.object({
  cpu: z.int().nullable(),
  memory: z.int().nullable(),
  tasks: z.int().nullable(),
});

const runRecord = z.object({
  v: z.literal(1),
  id: z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/),
  started: z.string(),
  /** Nanoseconds, as in Outliving. */
  offset: z.string().regex(/^-?\d{1,20}$/),
  cgroup,
  /** The cgroup and pid of who asked for it. */
  starter: z.object({ pid: z.int().positive(), cgroup }),
  owner: z.int().nullable(),
  client: process.nullable(),
  command: texts.nullable(),
  given: z.object({ argv: texts, cwd: z.string(), path: z.string(), home: z.string().nullable() }).nullable(),
  labels: z.record(z.string(), z.string()),
  failOn: z.enum(['deny', 'cycle', 'new', 'never']),
  leftover: z.enum(['release', 'kill']),
  syscalls: z.boolean(),
  asked: z.object({
    deployment: z.string().nullable(),
    allow: texts,
    deny: texts,
    default: z.enum(['allow', 'deny']).nullable(),
    mode: z.enum(['enforce', 'audit']).nullable(),
    now: z.string(),
    limits,
  }),
  /** The latest policies it was put under, by their numbers in the kernel; the last is in force. */
  generations: z.array(z.object({ generation: z.int().positive(), policy: z.string().nullable() })),
  /** As what it was asked for where it is no run but an existing cgroup. */
  attached: z.string().nullable(),
});

/** A run of a daemon, on file. */
export type RunRecord = z.infer<typeof runRecord>;

/** Generations of a run that records may still mean. */
export const MOST_GENERATIONS = 4;

/** Where a run's facts are kept. */
export function factsPath(id: string): string {
  return join(HOSTED, `${id}.facts`);
}

/** Writes a record whole or not at all. */
export function writeRecord(record: RunRecord): void {
  writeWhole(recordPath(record.id), JSON.stringify(record));
}

/** The run is over. */
export function removeRecord(id: string): void {
  rmSync(recordPath(id), { force: true });
  rmSync(factsPath(id), { force: true });
}

/** Every record there is; a file that is none is told to `onFault` and passed over. */
export function readRecords(onFault: (file: string, reason: string) => void): RunRecord[] {
  return namesIn(HOSTED).flatMap((name) => {
    if (!name.endsWith('.json')) return [];
    try {
      return [runRecord.parse(JSON.parse(readFileSync(join(HOSTED, name), 'utf8')))];
    } catch (error) {
      onFault(join(HOSTED, name), (error as Error).message);
      return [];
    }
  });
}

/** Keeps a policy that a run goes by, as it was read. */
export function keepPolicy({ id, files }: LoadedPolicy): void {
  const directory = policyPath(id);
  if (namesIn(POLICIES).includes(id)) return;
  const beside = `${directory}.new`;
  rmSync(beside, { recursive: true, force: true });
  for (const { name, text } of files) {
    mkdirSync(dirname(join(beside, name)), { recursive: true, mode: 0o700 });
    writeFileSync(join(beside, name), text, { mode: 0o600 });
  }
  renameSync(beside, directory);
}

/** Where a policy is kept. */
export function policyPath(id: string): string {
  return join(POLICIES, id);
}

/** Policies that a record names. */
export function policiesOf({ generations }: RunRecord): (string | null)[] {
  return generations.map(({ policy }) => policy);
}

/** Forgets policies but these. */
export function prunePolicies(used: ReadonlySet<string | null>): void {
  for (const id of namesIn(POLICIES))
    if (!used.has(id)) rmSync(join(POLICIES, id), { recursive: true, force: true });
}

function recordPath(id: string): string {
  return join(HOSTED, `${id}.json`);
}

/** Puts a file in place whole or not at all. */
export function writeWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
