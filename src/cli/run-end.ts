import { hostname } from 'node:os';
import { ulid } from 'ulid';
import type { AuditTrail } from '../audit/trail.ts';
import type { ReportFile } from '../guard/report.ts';
import type { Finished } from '../guard/session.ts';
import type { Tally } from '../guard/tally.ts';
import type { RunSummary } from '../model/summary.ts';
import { presentTime } from '../model/time.ts';
import type { Output } from './output.ts';
import type { Plan } from './plan.ts';
import type { RunOptions } from './run-options.ts';
import { formatSummary } from './summary.ts';
import type { Teller } from './teller.ts';
import { lostTo, suggestCommand } from './trail.ts';

/** What a run, or an attach, has come to. */
export interface Outcome extends Pick<RunSummary, 'mode' | 'labels' | 'exit' | 'attached'> {
  readonly finished: Finished;
  readonly durationMs: number;
}

/** The summary of what is over. */
export function summarize(plan: Plan, tally: Tally, trail: AuditTrail, outcome: Outcome): RunSummary {
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

/** Tells and records the end, and what went wrong at it. Closes the report. */
export function tellEnd(
  to: { output: Output; report: ReportFile | null; trail: AuditTrail; teller: Teller },
  options: RunOptions,
  summary: RunSummary,
  { failures }: Finished,
): void {
  const { output, report, trail, teller } = to;
  trail.record(summary);
  const lines = formatSummary(summary, {
    denied: teller.fold.totals(),
    wouldDeny: teller.wouldDeny.totals(),
    seen: teller.tally.byDestination,
    leftover: options.leftover,
    report: options.report,
    suggest: suggestCommand(options, summary.run),
    width: output.width,
  });
  output.say('info', lines, summary);
  report?.write(summary);
  report?.close();
  if (report && report.lost > 0)
    output.say('error', [
      `acyclic: ${report.lost} lines of the report ${report.path} were lost: ${report.fault}`,
    ]);
  if (summary.limits?.in_force === false)
    output.say('error', ['acyclic: a limit was changed or taken off while the run went on']);
  for (const failure of failures) output.say('error', [`acyclic: left behind: ${failure}`]);
}
