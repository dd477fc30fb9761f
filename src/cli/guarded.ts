import { hostname } from 'node:os';
import { ulid } from 'ulid';
import { pathOf, type Running, resolveCommand, startCommand } from '../guard/command.ts';
import { HeldSignals } from '../guard/held-signals.ts';
import type { GivenCommand } from '../guard/naming.ts';
import type { ReportFile } from '../guard/report.ts';
import { type Finished, type Session, startSession } from '../guard/session.ts';
import { sweep } from '../guard/sweep.ts';
import type { Tally } from '../guard/tally.ts';
import type { RunSummary } from '../model/summary.ts';
import { breakGlass, canSpawn, runBare } from './break-glass.ts';
import { createOutput, type Output } from './output.ts';
import { checkInherited, commandSpec, givenCommand, makePlan, openReport, type Plan } from './plan.ts';
import type { RunOptions } from './run-options.ts';
import { formatOpening, formatSummary } from './summary.ts';
import { Teller, tellSwept } from './teller.ts';

const TIMED_OUT = 124;
const GUARD_LOST = 125;
const FOUND = 122;
const REPEATS_EVERY_MS = 1000;

/** Guards one command and gives the exit status of the whole. Throws what happens before it starts. */
export async function guardCommand(options: RunOptions): Promise<number> {
  const output = createOutput(options);
  const spec = commandSpec(options);
  if (options.breakGlass !== null) resolveCommand(spec.name, pathOf(spec.env));
  const glass = options.breakGlass === null ? null : breakGlass(options, output);
  const plan = glass?.plan ?? makePlan(options, output);
  const file = resolveCommand(spec.name, pathOf(spec.env));
  if (!glass) checkInherited(options, plan.policy, spec, output);
  const report = options.report === null ? null : openReport(options.report);
  if (glass) report?.write(glass.event);
  const teller = new Teller(output, report);
  const held = new HeldSignals();
  try {
    const command = givenCommand(spec, file);
    const session = await guard(options, plan, command, teller, output);
    if (held.exit === null && !session && !canSpawn()) return await runBare(spec, held);
    if (held.exit === null) return await conduct({ options, plan, session, teller, output, report, held });
    await session?.finish();
    report?.close();
    return held.exit;
  } finally {
    held.release();
  }
}

/** The guard; null when the glass is broken and there is none to be had. Throws SetupFailure otherwise. */
async function guard(
  options: RunOptions,
  plan: Plan,
  command: GivenCommand,
  teller: Teller,
  output: Output,
): Promise<Session | null> {
  try {
    for (const swept of await sweep()) tellSwept(output, swept);
    return await startSession({
      id: plan.id,
      host: hostname(),
      deployment: plan.deployment,
      policy: plan.policy,
      policyElsewhere: plan.elsewhere,
      policyId: plan.policyId,
      leftover: options.leftover,
      command,
      onEvent: (recorded) => teller.tell(recorded),
      onLost: () =>
        output.say('error', [
          "acyclic: the guard is lost: somebody took its programs off the run's cgroup",
          'the command goes on unguarded; exit will be 125',
        ]),
    });
  } catch (error) {
    if (options.breakGlass === null) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    output.say('error', ['acyclic: UNGUARDED: the glass is broken, and no guard can be had', reason]);
    return null;
  }
}

interface Conducted {
  readonly options: RunOptions;
  readonly plan: Plan;
  readonly session: Session | null;
  readonly teller: Teller;
  readonly output: Output;
  readonly report: ReportFile | null;
  readonly held: HeldSignals;
}

const UNGUARDED: Finished = { leftover: [], lost: {}, guardLost: false, failures: [] };

/** The guard is in place: the command runs, ends, and all is told. */
async function conduct(run: Conducted): Promise<number> {
  const { options, plan, session, teller, output, report, held } = run;
  if (session) {
    teller.warm();
    tellOpening(plan, output);
  }
  const started = performance.now();
  let running: Running;
  try {
    running = startCommand(commandSpec(options), session?.cgroup ?? null, options.timeoutMs);
  } catch (error) {
    await session?.finish();
    report?.close();
    throw error;
  }
  held.handOver(running.pid);
  session?.commandStarted(running.pid);
  const repeats = setInterval(() => teller.tellRepeats(), REPEATS_EVERY_MS);
  const { status, timedOut } = await running.ended;
  clearInterval(repeats);
  const finished = (await session?.finish()) ?? UNGUARDED;
  if (timedOut)
    output.say('error', [`acyclic: the command timed out after ${(options.timeoutMs ?? 0) / 1000} s`]);
  const acyclic = finished.guardLost ? GUARD_LOST : exitStatus(options, status, timedOut, teller.tally);
  tellEnd(run, finished, summarize(run, finished, { command: status, acyclic }, performance.now() - started));
  return acyclic;
}

function tellOpening(plan: Plan, output: Output): void {
  const opening = {
    run: plan.id,
    deployment: plan.deployment,
    mode: plan.policy.mode,
    policy: plan.policyId,
  };
  output.say('info', [formatOpening(opening)], { kind: 'opening', ...opening });
}

function tellEnd(
  { options, teller, output, report }: Conducted,
  finished: Finished,
  summary: RunSummary,
): void {
  const lines = formatSummary(summary, {
    denied: teller.fold.totals(),
    wouldDeny: teller.wouldDeny.totals(),
    seen: teller.tally.byDestination,
    leftover: options.leftover,
    report: options.report,
    suggest: null,
    width: output.width,
  });
  output.say('info', lines, summary);
  report?.write(summary);
  report?.close();
  if (report && report.lost > 0)
    output.say('error', [
      `acyclic: ${report.lost} lines of the report ${report.path} were lost: ${report.fault}`,
    ]);
  for (const failure of finished.failures) output.say('error', [`acyclic: left behind: ${failure}`]);
}

/** The command's own status, unless it timed out, or succeeded and `--fail-on` found something. */
function exitStatus(options: RunOptions, status: number, timedOut: boolean, tally: Tally): number {
  if (timedOut) return TIMED_OUT;
  const found =
    (options.failOn === 'deny' && tally.denials + tally.wouldDeny > 0) ||
    (options.failOn === 'cycle' && tally.cycles.length > 0);
  return status === 0 && found ? FOUND : status;
}

function summarize(
  { plan, teller, options, session }: Conducted,
  finished: Finished,
  exit: RunSummary['exit'],
  duration: number,
): RunSummary {
  const { tally } = teller;
  return {
    v: 1,
    kind: 'summary',
    id: ulid(),
    time: new Date().toISOString(),
    host: hostname(),
    run: plan.id,
    deployment: plan.deployment,
    policy: plan.policyId,
    mode: session ? plan.policy.mode : 'unguarded',
    labels: options.labels,
    calls: tally.calls,
    destinations: tally.destinations,
    denials: tally.denials,
    would_deny: tally.wouldDeny,
    cycles: tally.cycles,
    lost: finished.lost,
    waiting: tally.waiting,
    exit,
    duration_ms: Math.round(duration),
    leftover: finished.leftover,
  };
}
