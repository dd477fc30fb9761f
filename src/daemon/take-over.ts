import { AuditFailure } from '../audit/failure.ts';
import { pastOfTrail } from '../audit/past.ts';
import { destinationsSeen } from '../guard/earlier.ts';
import { type FactChange, readFacts } from '../guard/fact-file.ts';
import type { PastPolicy } from '../guard/guarded-run.ts';
import { type LoadedPolicy, loadPolicy } from '../guard/policy-files.ts';
import { removeEntry } from '../guard/registry.ts';
import type { AskedRun, RunPlan } from '../guard/run-plan.ts';
import { summarize } from '../guard/run-summary.ts';
import { Tally } from '../guard/tally.ts';
import { type Cgroup, isThere } from '../kernel/cgroup.ts';
import { removeLeftPins } from '../kernel/pins.ts';
import type { Past, PastQuery } from '../model/past.ts';
import { formatTarget } from '../model/target.ts';
import { parseDest } from '../policy/dest.ts';
import { isFault } from '../policy/problem.ts';
import type { Attachments } from './attachments.ts';
import type { EarlierRecords } from './earlier-records.ts';
import { HostedRun, NOTHING_FINISHED, type Shared } from './hosted-run.ts';
import type { HostedRuns } from './hosted-runs.ts';
import type { Log } from './log.ts';
import { type Planned, Planner } from './planner.ts';
import {
  factsPath,
  policiesOf,
  policyPath,
  type RunRecord,
  readRecords,
  removeRecord,
} from './run-record.ts';

const UNCOUNTED = 'the audit trail cannot be read: summaries will count less than was recorded';

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
  readonly id: string;
  readonly told: string;
  /** Policies that its record names. */
  readonly policies: readonly (string | null)[];
}

/**
 * Goes on with what a daemon before this one has left guarded: before records are read. One that cannot be taken over
 * stays as it is, guarded under its last policy, and is told. Gives those.
 */
export async function takeOver(taking: Taking, earlier: EarlierRecords): Promise<Untaken[]> {
  const { log } = taking.shared;
  const failed: Untaken[] = [];
  const records = readRecords((file, reason) =>
    log.error({ file, reason }, 'the record of a run cannot be read'),
  );
  const restored = new Map<string, Tally>();
  const planner = new Planner(taking.shared.live());
  const policies = new KeptPolicies(taking.loaded);
  passOverNumbers(records, taking.shared);
  for (const record of records) {
    try {
      await takeOne(record, taking, { earlier, restored, planner, policies });
    } catch (error) {
      taking.shared.tallies.remove(record.id);
      const { message } = error as Error;
      const told = `run ${record.id} goes on under its last policy, without names: ${message}`;
      const { id: run, level } = record.cgroup;
      failed.push({ run: BigInt(run), level, id: record.id, told, policies: policiesOf(record) });
      log.error({ run: record.id, error: message }, 'a run cannot be taken over');
    }
  }
  try {
    taking.shared.tallies.catchUp(restored);
  } catch (error) {
    log.error({ error: (error as Error).message }, UNCOUNTED);
  }
  return failed;
}

/** Of what an engine with other tables has given out: where it is this one's tables, it knows. */
function passOverNumbers(records: readonly RunRecord[], { engine }: Shared): void {
  if (engine.programs.adopted) return;
  for (const { id, generations } of records) {
    const facts = factsOf(id).map(({ fact }) => fact);
    engine.passOver({
      generations: Math.max(0, ...generations.map(({ generation }) => generation)),
      facts: facts.reduce((most, fact) => Math.max(most, fact), 0),
    });
  }
}

/** One that cannot be read is told when its run is taken over. */
function factsOf(id: string): FactChange[] {
  try {
    return readFacts(factsPath(id));
  } catch {
    return [];
  }
}

/** `restored`: tallies that are to catch up with the trail. */
async function takeOne(
  record: RunRecord,
  taking: Taking,
  {
    earlier,
    restored,
    planner,
    policies,
  }: {
    earlier: EarlierRecords;
    restored: Map<string, Tally>;
    planner: Planner;
    policies: KeptPolicies;
  },
): Promise<void> {
  const { shared, runs, attachments, state } = taking;
  const cgroup = cgroupOf(record.cgroup);
  const past = pastOfTrail(state);
  const plans = plansOf(record, policies, planner);
  const { plan, rows } = plans.at(-1) ?? {};
  if (!plan || !isThere(cgroup)) {
    await conclude(record, plan ?? null, taking);
    return;
  }
  const { deployment } = plan;
  const seen = record.failOn === 'new' ? await destinationsSeen(past, deployment, record.id) : null;
  const { owner, client, command, given, labels, failOn, leftover, syscalls, attached } = record;
  const starter = { pid: record.starter.pid, cgroup: cgroupOf(record.starter.cgroup) };
  const tally = new Tally({ staged: plan.staged?.id ?? null, seen });
  if (shared.tallies.restore(record.id, tally)) restored.set(record.id, tally);
  else await countRecorded(record, past, tally, shared.log);
  const left = {
    ...{ record, cgroup, tally, policies: plans.map(({ past: policy }) => policy) },
    isRecorded: (id: string) => earlier.has(id),
  };
  const attach = attached === null ? {} : { attach: attachments.onCgroup(record.id, cgroup, attached) };
  const options = {
    ...{ plan, asked: askedOf(record), owner, client, command, given, labels, failOn, leftover, syscalls },
    ...{ seen, starter, ...attach },
  };
  const run = await HostedRun.takeOver(left, options, shared, rows);
  if (attached === null) runs.hold(run);
  else attachments.hold(run, cgroup, attached);
  shared.log.info({ run: record.id, policy: plan.policyId }, 'a run is taken over');
}

/** Its policies, by the numbers the kernel has them under. */
function plansOf(
  record: RunRecord,
  policies: KeptPolicies,
  planner: Planner,
): (Planned & { past: PastPolicy })[] {
  const asked = askedOf(record);
  return record.generations.map(({ generation, policy: id }) => {
    const { plan, rows } = planner.plan(id === null ? null : policies.get(id), asked);
    const { policy, elsewhere: policyElsewhere, policyId, staged } = plan;
    const past = { policy, policyElsewhere, policyId, staged, generation };
    return { plan: { ...plan, id: record.id }, rows, past };
  });
}

/** Policies that runs go by, as they were kept for this: each is read once. */
class KeptPolicies {
  readonly #loaded: LoadedPolicy | null;
  readonly #known = new Map<string, LoadedPolicy | null>();

  /** `loaded`: the policy in force now, in place of one that cannot be read any more. */
  constructor(loaded: LoadedPolicy | null) {
    this.#loaded = loaded;
  }

  get(id: string): LoadedPolicy | null {
    const known = this.#known.get(id) ?? readKept(id) ?? this.#loaded;
    this.#known.set(id, known);
    return known;
  }
}

function readKept(id: string): LoadedPolicy | null {
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
async function conclude(record: RunRecord, plan: RunPlan | null, { shared, state }: Taking): Promise<void> {
  const { trail, log } = shared;
  const past = pastOfTrail(state);
  let ended = false;
  for await (const _ of onRecord(past.runs(queryOf(record)))) ended = true;
  if (!ended && plan) {
    const tally = new Tally({ staged: plan.staged?.id ?? null, seen: null });
    await countRecorded(record, past, tally, log);
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

/** Counts what is on record of a run, an event at a time: there may be millions. What cannot be read is told. */
async function countRecorded(record: RunRecord, past: Past, tally: Tally, log: Log): Promise<void> {
  try {
    for await (const event of onRecord(past.events(queryOf(record)))) tally.add(event, formatTarget(event));
  } catch (error) {
    log.error({ run: record.id, error: (error as Error).message }, UNCOUNTED);
  }
}

/** What the trail has; nothing where it knows of no such run yet. */
async function* onRecord<T>(past: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* past;
  } catch (error) {
    if (!(error instanceof AuditFailure) || !['no-record', 'no-store'].includes(error.code)) throw error;
  }
}

function cgroupOf({ path, id, level }: RunRecord['cgroup']): Cgroup {
  return { path, id: BigInt(id), level };
}
