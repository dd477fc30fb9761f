import { release } from 'node:os';
import { resolve } from 'node:path';
import { decodeTime } from 'ulid';
import { spoolDirectories, waitingIn } from '../audit/spool.ts';
import { type Features, readFeatures } from '../kernel/features.ts';
import type { Mode } from '../model/verdict.ts';
import { type InstalledStatus, readInstalledStatus } from './installed-status.ts';
import { mayRead } from './readable.ts';
import { type RunCounts, readEntries, seesEntries } from './registry.ts';
import { standingOf } from './sweep.ts';

/** A run on file. What is unknown is null. */
export interface RunStatus {
  readonly run: string;
  readonly deployment: string | null;
  readonly mode: Mode | null;
  /** Id of its policy. */
  readonly policy: string | null;
  /** Null: it has a cgroup of its own, made for it. */
  readonly attached: { readonly cgroup: string; readonly service: string | null } | null;
  /** As `standingOf` has it. */
  readonly guarded_by: 'engine' | 'kernel' | 'nobody' | null;
  readonly since: string;
  readonly pid: number | null;
  readonly command: readonly string[] | null;
  readonly counts: RunCounts | null;
}

/** A reason to look closer. */
export interface Degradation {
  /** `daemon`: of a daemon that is there. */
  readonly code: 'lost-events' | 'policy' | 'spool' | 'no-engine' | 'daemon';
  readonly message: string;
}

/** What there is of Acyclic on a host. Null: this process may not see it. */
export interface HostStatus {
  /** There is none: a run is guarded by the command that starts it. */
  readonly daemon: null;
  readonly degraded: readonly Degradation[];
  readonly kernel: { readonly release: string; readonly features: Features };
  readonly policy: InstalledStatus;
  /** In the order of their beginning. */
  readonly runs: readonly RunStatus[] | null;
  /** Events that the runs on file lost, by cause. */
  readonly lost: Readonly<Record<string, number>> | null;
  readonly spool: { readonly files: readonly string[]; readonly bytes: number } | null;
  /** What this process may not see, in words. */
  readonly unseen: readonly string[];
}

/** Looks at the host and changes nothing. `state` is the state directory. */
export async function readStatus(state: string, now: Date = new Date()): Promise<HostStatus> {
  const runs = seesEntries() ? readRuns() : null;
  const lost = runs && addUp(runs.map(({ counts }) => counts?.lost ?? {}));
  const spool = readSpool(state);
  const policy = readInstalledStatus(now);
  return {
    daemon: null,
    degraded: [
      ...(lost && Object.keys(lost).length > 0 ? [lostEvents(lost)] : []),
      ...orphans(runs ?? []),
      ...policyFaults(policy),
      ...(spool && spool.bytes > 0 ? [waiting(spool)] : []),
    ],
    kernel: { release: release(), features: await readFeatures() },
    policy,
    runs,
    lost,
    spool,
    unseen: [
      ...(runs ? [] : ['runs in progress, and what they lost']),
      ...(spool ? [] : [`records that wait for the audit trail of ${resolve(state)}`]),
      ...(policy.state === 'unseen' ? [`the policy in ${policy.path}`] : []),
    ],
  };
}

function readRuns(): RunStatus[] {
  const words = { engine: 'engine', guarded: 'kernel', ended: 'nobody' } as const;
  const runs = readEntries().map((entry): RunStatus => {
    const standing = standingOf(entry);
    const { deployment, mode, policy, counts, attached } = entry;
    return {
      ...{ run: entry.id, deployment, mode, policy },
      attached: attached ? { cgroup: entry.cgroup, service: attached.service } : null,
      guarded_by: standing && words[standing],
      since: new Date(decodeTime(entry.id)).toISOString(),
      ...{ pid: entry.command?.pid ?? null, command: entry.argv, counts },
    };
  });
  return runs.sort((a, b) => (a.run < b.run ? -1 : 1));
}

function addUp(losses: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const [cause, count] of losses.flatMap((lost) => Object.entries(lost)))
    sum[cause] = (sum[cause] ?? 0) + count;
  return sum;
}

function readSpool(state: string): HostStatus['spool'] {
  const directories = spoolDirectories(state);
  return directories.every(mayRead) ? waitingIn(directories) : null;
}

function lostEvents(lost: Readonly<Record<string, number>>): Degradation {
  const total = Object.values(lost).reduce((sum, count) => sum + count, 0);
  return { code: 'lost-events', message: `${total} events of runs in progress are lost` };
}

function orphans(runs: readonly RunStatus[]): Degradation[] {
  return runs
    .filter((run) => run.guarded_by === 'kernel')
    .map(({ run }) => ({
      code: 'no-engine',
      message: `run ${run} lost Acyclic and goes on under its last policy, without names`,
    }));
}

function policyFaults(policy: InstalledStatus): Degradation[] {
  if (policy.state === 'unreadable') return [{ code: 'policy', message: policy.reason }];
  if (policy.state !== 'mistaken') return [];
  return [
    { code: 'policy', message: `the policy ${policy.path} has mistakes, and runs without -p do not start` },
  ];
}

function waiting({ files, bytes }: NonNullable<HostStatus['spool']>): Degradation {
  const message = `${Math.ceil(bytes / 1024)} KiB of records wait in ${files[0]}; the next run puts them into the trail`;
  return { code: 'spool', message };
}
