import { hostname } from 'node:os';
import { ulid } from 'ulid';
import type { AuditTrail } from '../audit/trail.ts';
import type { RunSummary } from '../model/summary.ts';
import { presentTime } from '../model/time.ts';
import type { RunCounts } from './registry.ts';
import type { Finished } from './run-guard.ts';
import type { RunPlan } from './run-plan.ts';
import type { Tally } from './tally.ts';

/** What a run, or an attach, has come to. */
export interface Outcome extends Pick<RunSummary, 'mode' | 'labels' | 'exit' | 'attached'> {
  readonly finished: Finished;
  readonly durationMs: number;
}

/** The summary of what is over. */
export function summarize(plan: RunPlan, tally: Tally, trail: AuditTrail, outcome: Outcome): RunSummary {
  const { mode, labels, exit, attached, finished, durationMs } = outcome;
  return {
    v: 1,
    kind: 'summary',
    id: ulid(),
    time: presentTime(),
    host: hostname(),
    run: plan.id,
    deployment: plan.deployment,
    policy: plan.policyId,
    mode,
    labels,
    calls: tally.calls,
    destinations: tally.destinations,
    denials: tally.denials,
    would_deny: tally.wouldDeny,
    cycles: tally.cycles,
    lost: { ...finished.lost, ...lostTo(trail) },
    ...(finished.lostEnds > 0 ? { lost_ends: finished.lostEnds } : {}),
    waiting: tally.waiting,
    traffic: tally.traffic,
    staged: tally.staged,
    new_destinations: tally.newDestinations,
    exit,
    duration_ms: Math.round(durationMs),
    limits: finished.limits,
    leftover: finished.leftover,
    ...(attached && { attached }),
  };
}

/** What a run fails on, though its command succeeded. */
export type FailOn = 'deny' | 'cycle' | 'new' | 'never';

const FOUND = 122;
const TIMED_OUT = 124;

/** The command's own status, unless it timed out, or succeeded and `failOn` found something (design §2). */
export function exitStatus(
  { status, timedOut }: { readonly status: number; readonly timedOut: boolean },
  failOn: FailOn,
  tally: Tally,
): number {
  if (timedOut) return TIMED_OUT;
  const found =
    (failOn === 'deny' && tally.denials + tally.wouldDeny > 0) ||
    (failOn === 'cycle' && tally.cycles.length > 0) ||
    (failOn === 'new' && (tally.newDestinations?.length ?? 0) > 0);
  return status === 0 && found ? FOUND : status;
}

/** What a run has counted so far, for `acyclic status`. */
export function countsOf({ calls, denials, wouldDeny }: Tally, trail: AuditTrail): RunCounts {
  return { calls, denials, would_deny: wouldDeny, lost: lostTo(trail) };
}

/** Records that are lost to the trail, as a cause. */
function lostTo({ lost }: AuditTrail): Record<string, number> {
  return lost === 0 ? {} : { 'store full': lost };
}
