import { AuditFailure } from '../audit/failure.ts';
import { pastOfTrail } from '../audit/past.ts';
import { destinationsSeen } from '../guard/earlier.ts';
import type { PastPolicy } from '../guard/guarded-run.ts';
import { type LoadedPolicy, loadPolicy } from '../guard/policy-files.ts';
import { removeEntry } from '../guard/registry.ts';
import { type AskedRun, planRun, type RunPlan } from '../guard/run-plan.ts';
import { summarize } from '../guard/run-summary.ts';
import { Tally } from '../guard/tally.ts';
import { type Cgroup, isThere } from '../kernel/cgroup.ts';
import { removeLeftPins } from '../kernel/pins.ts';
import type { AuditEvent } from '../model/event.ts';
import type { PastQuery } from '../model/past.ts';
import { formatTarget } from '../model/target.ts';
import { parseDest } from '../policy/dest.ts';
import { isFault } from '../policy/problem.ts';
import type { Attachments } from './attachments.ts';
import { HostedRun, NOTHING_FINISHED, type Shared } from './hosted-run.ts';
import type { HostedRuns } from './hosted-runs.ts';
import { policyPath, prunePolicies, type RunRecord, readRecords, removeRecord } from './run-record.ts';

/** Where what is taken over is held. */
export interface Taking {
  readonly shared: Shared;
  readonly runs: HostedRuns;
  readonly attachments: Attachments;
  /** The state directory. */
  readonly state: string;
  /** The policy in force now, for a run whose own cannot be read any more. */
  readonly loaded: LoadedPolicy | null;
}

/** A run that goes on as it is, by the id and depth of its cgroup; `told` is for people. */
export interface Untaken {
  readonly run: bigint;
  readonly level: number;
  readonly told: string;
}

/**
 * Goes on with what a daemon before this one has left guarded: before records are read. One that cannot be taken over
 * stays as it is, guarded under its last policy, and is told. Gives those.
 */
export async function takeOver(taking: Taking): Promise<{ taken: HostedRun[]; failed: Untaken[] }> {
  const { log } = taking.shared;
  const taken: HostedRun[] = [];
  const failed: Untaken[] = [];
  const records = readRecords((file, reason) =>
    log.error({ file, reason }, 'the record of a run cannot be read'),
  );
  for (const record of records) {
    try {
      const run = await takeOne(record, taking);
      if (run) taken.push(run);
    } catch (error) {
      const { message } = error as Error;
      const told = `run ${record.id} goes on under its last policy, without names: ${message}`;
      failed.push({ run: BigInt(record.cgroup.id), level: record.cgroup.level, told });
      log.error({ run: record.id, error: message }, 'a run cannot be taken over');
    }
  }
  prunePolicies();
  return { taken, failed };
}

async function takeOne(record: RunRecord, taking: Taking): Promise<HostedRun | null> {
  const { shared, runs, attachments, state } = taking;
  const cgroup = cgroupOf(record.cgroup);
  const past = pastOfTrail(state);
  const events = await onRecord(past.events(queryOf(record)));
  const plans = plansOf(record, taking.loaded);
  const plan = plans.at(-1)?.plan;
  if (!plan || !isThere(cgroup)) {
    await conclude(record, plan ?? null, events, taking);
    return null;
  }
  const { deployment } = plan;
  const seen = record.failOn === 'new' ? await destinationsSeen(past, deployment, record.id) : null;
  const { owner, client, command, given, labels, failOn, leftover, syscalls, attached } = record;
  const starter = { pid: record.starter.pid, cgroup: cgroupOf(record.starter.cgroup) };
  const left = { record, cgroup, events, policies: plans.map(({ past: policy }) => policy) };
  const attach = attached === null ? {} : { attach: attachments.onCgroup(record.id, cgroup, attached) };
  const options = {
    ...{ plan, asked: askedOf(record), owner, client, command, given, labels, failOn, leftover, syscalls },
    ...{ seen, starter, ...attach },
  };
  const run = await HostedRun.takeOver(left, options, shared);
  if (attached === null) runs.hold(run);
  else attachments.hold(run, cgroup, attached);
  shared.log.info({ run: record.id, policy: plan.policyId }, 'a run is taken over');
  return run;
}

/** Its policies, by the numbers the kernel has them under. */
function plansOf(record: RunRecord, loaded: LoadedPolicy | null): { plan: RunPlan; past: PastPolicy }[] {
  const asked = askedOf(record);
  const known = new Map<string, LoadedPolicy | null>();
  return record.generations.map(({ generation, policy: id }) => {
    if (id !== null && !known.has(id)) known.set(id, keptPolicy(id) ?? loaded);
    const from = id === null ? null : (known.get(id) ?? null);
    const plan = { ...planRun(from, asked, () => {}), id: record.id };
    const { policy, elsewhere: policyElsewhere, policyId, staged } = plan;
    return { plan, past: { policy, policyElsewhere, policyId, staged, generation } };
  });
}

function keptPolicy(id: string): LoadedPolicy | null {
  try {
    return loadPolicy(policyPath(id));
  } catch {
    return null;
  }
}

function askedOf({ asked }: RunRecord): AskedRun {
  const dests = (texts: readonly string[]) =>
    texts.flatMap((text) => {
      const dest = parseDest(text);
      return isFault(dest) ? [] : [dest];
    });
  return { ...asked, allow: dests(asked.allow), deny: dests(asked.deny), now: new Date(asked.now) };
}

/** The run ended while nobody looked, or before anything was in force: what is known of it is told, and it is cleared. */
async function conclude(
  record: RunRecord,
  plan: RunPlan | null,
  events: readonly AuditEvent[],
  { shared, state }: Taking,
): Promise<void> {
  const { trail, log } = shared;
  const ended = await onRecord(pastOfTrail(state).runs(queryOf(record)));
  if (ended.length === 0 && plan) {
    const tally = new Tally({ staged: plan.staged?.id ?? null, seen: null });
    for (const event of events) tally.add(event, formatTarget(event));
    const outcome = {
      ...{ mode: plan.policy.mode, labels: record.labels, finished: NOTHING_FINISHED },
      exit: { command: null, acyclic: 0 },
      durationMs: Date.now() - Date.parse(record.started),
    };
    trail.record(summarize(plan, tally, trail, outcome));
    await trail.flushed();
  }
  log.info({ run: record.id }, 'a run ended while there was no daemon');
  removeLeftPins(record.id);
  removeEntry(record.id);
  removeRecord(record.id);
}

function queryOf({ id }: RunRecord): PastQuery {
  return { run: id, deployment: null, since: null };
}

/** What the trail has; nothing where it knows of no such run yet. */
async function onRecord<T>(past: Iterable<T> | AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  try {
    for await (const one of past) all.push(one);
    return all;
  } catch (error) {
    if (error instanceof AuditFailure && ['no-record', 'no-store'].includes(error.code)) return [];
    throw error;
  }
}

function cgroupOf({ path, id, level }: RunRecord['cgroup']): Cgroup {
  return { path, id: BigInt(id), level };
}
