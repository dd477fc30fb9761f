import type { AuditTrail } from '../audit/trail.ts';
import { type HeldCommand, holdCommand, pathOf, type Running, resolveCommand } from '../guard/command.ts';
import { HeldSignals } from '../guard/held-signals.ts';
import type { GivenCommand } from '../guard/naming.ts';
import type { ReportFile } from '../guard/report.ts';
import type { Finished, RunGuard } from '../guard/run-guard.ts';
import { type RunPlan, sessionPlan } from '../guard/run-plan.ts';
import { countsOf, exitStatus, type Outcome, summarize } from '../guard/run-summary.ts';
import { startSession } from '../guard/session.ts';
import { sweep } from '../guard/sweep.ts';
import { Tally } from '../guard/tally.ts';
import { SetupFailure } from '../kernel/failure.ts';
import type { Programs } from '../kernel/programs.ts';
import { NO_LIMITS } from '../model/limits.ts';
import { earlierDestinations } from './baseline.ts';
import { breakGlass, canSpawn, runBare } from './break-glass.ts';
import { checkInherited, commandSpec, givenCommand } from './command-spec.ts';
import { openReport } from './open-report.ts';
import { createOutput, type Output } from './output.ts';
import { makePlan } from './plan.ts';
import { tellEnd } from './run-end.ts';
import type { RunOptions } from './run-options.ts';
import { showCommand } from './show-command.ts';
import { formatOpening } from './summary.ts';
import { Teller, tellSwept } from './teller.ts';
import { closeTrail, openTrail, recordStart } from './trail.ts';

const GUARD_LOST = 125;
/** Failed before the command (design §2). */
const RUN_FAILED = 125;
const REPEATS_EVERY_MS = 1000;

/** Guards one command and gives the exit status of the whole. Throws what happens before it starts. */
export async function guardCommand(options: RunOptions, programs: Promise<Programs> | null): Promise<number> {
  const output = createOutput(options);
  const spec = commandSpec(options);
  if (options.breakGlass !== null) resolveCommand(spec.name, pathOf(spec.env));
  const planned = options.breakGlass === null ? makePlan(options, output) : null;
  const file = resolveCommand(spec.name, pathOf(spec.env));
  if (planned) checkInherited(options, planned.policy.mode, spec, output);
  const seen = planned ? await earlierDestinations(options, planned, output) : null;
  const report = options.report === null ? null : openReport(options.report);
  const trail = openTrail(options, output);
  const held = new HeldSignals();
  try {
    const plan = planned ?? (await breakGlass(options, output, trail, report));
    const teller = new Teller({
      ...{ output, report, trail },
      tally: new Tally({ staged: plan.staged?.id ?? null, seen }),
      more: (id) => showCommand(options, id),
    });
    const session = await guard(options, plan, givenCommand(spec, file), { teller, output, trail, programs });
    const run = { options, plan, session, teller, output, report, trail, held };
    if (held.exit === null && !session && !canSpawn()) return await conductBare(run);
    return (held.exit === null ? await conduct(run) : null) ?? (await endedBefore(run));
  } finally {
    await closeTrail(trail, output);
    held.release();
  }
}

/** The guard; null when the glass is broken and there is none to be had. Throws SetupFailure otherwise. */
async function guard(
  options: RunOptions,
  plan: RunPlan,
  command: GivenCommand,
  told: { teller: Teller; output: Output; trail: AuditTrail; programs: Promise<Programs> | null },
): Promise<RunGuard | null> {
  const { teller, output, trail, programs } = told;
  try {
    for (const swept of await sweep()) tellSwept(output, swept);
    return await startSession({
      ...sessionPlan(plan),
      leftover: options.leftover,
      command,
      syscalls: options.syscalls,
      programs,
      limits: plan.limits,
      onDenied: (recorded) => teller.tell(recorded),
      onEvent: (recorded) => teller.record(recorded),
      counts: () => countsOf(teller.tally, trail),
      onCarried: ({ event }) => teller.carried(event),
      onUnwatched: (what) => output.say('warning', [`acyclic: not watched: ${what}`]),
      onLost: () =>
        output.say('error', [
          "acyclic: the guard is lost: somebody took its programs off the run's cgroup",
          'the command goes on unguarded; exit will be 125',
        ]),
    });
  } catch (error) {
    if (options.breakGlass === null) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof SetupFailure && error.code === 'no-limits') {
      output.say('error', ['acyclic: UNLIMITED: the glass is broken, and no limits can be had', reason]);
      return guard(options, { ...plan, limits: NO_LIMITS }, command, told);
    }
    output.say('error', ['acyclic: UNGUARDED: the glass is broken, and no guard can be had', reason]);
    return null;
  }
}

interface Conducted {
  readonly options: RunOptions;
  readonly plan: RunPlan;
  readonly session: RunGuard | null;
  readonly teller: Teller;
  readonly output: Output;
  readonly report: ReportFile | null;
  readonly trail: AuditTrail;
  readonly held: HeldSignals;
}

const UNGUARDED: Finished = {
  leftover: [],
  limits: null,
  lost: {},
  lostEnds: 0,
  guardLost: false,
  failures: [],
};

/** The guard is in place: the command runs, ends, and all is told. Null: a signal came before it could run. */
async function conduct(run: Conducted): Promise<number | null> {
  const { options, plan, session, teller, output, report, trail, held } = run;
  if (session) {
    Teller.warm(output);
    tellOpening(plan, output);
  }
  const started = performance.now();
  const cgroup = session?.cgroup ?? null;
  let command: HeldCommand | null = null;
  let running: Running | null;
  try {
    held.watch();
    const forked = holdCommand(commandSpec(options), cgroup);
    command = forked;
    running = held.handOver(() => forked.release(cgroup, options.timeoutMs));
  } catch (error) {
    command?.abandon();
    await session?.finish();
    report?.close();
    throw error;
  }
  if (!running) {
    command.abandon();
    return null;
  }
  recordStart(trail, options, plan, session ? plan.policy.mode : 'unguarded');
  session?.commandStarted(running.pid);
  const repeats = setInterval(() => teller.tellRepeats(), REPEATS_EVERY_MS);
  const { status, timedOut } = await running.ended;
  clearInterval(repeats);
  const finished = (await session?.finish()) ?? UNGUARDED;
  if (timedOut)
    output.say('error', [`acyclic: the command timed out after ${(options.timeoutMs ?? 0) / 1000} s`]);
  const acyclic = finished.guardLost
    ? GUARD_LOST
    : exitStatus({ status, timedOut }, options.failOn, teller.tally);
  const durationMs = performance.now() - started;
  await trail.flushed();
  const outcome = { ...endOf(run, finished), exit: { command: status, acyclic }, durationMs };
  tellEnd(run, options, summarize(plan, teller.tally, trail, outcome), finished);
  return acyclic;
}

async function endedBefore({ session, report, output, held }: Conducted): Promise<number> {
  await session?.finish();
  report?.close();
  output.say('error', [`acyclic: ended by ${held.first} before the command was started`]);
  return held.exit ?? RUN_FAILED;
}

/** The command without a guard, where not even the addon is there to start it with. */
async function conductBare(run: Conducted): Promise<number> {
  const { options, plan, report, trail, held } = run;
  recordStart(trail, options, plan, 'unguarded');
  const started = performance.now();
  const status = await runBare(commandSpec(options), held);
  const summary = summarize(plan, run.teller.tally, trail, {
    ...endOf(run, UNGUARDED),
    exit: { command: status, acyclic: status },
    durationMs: performance.now() - started,
  });
  trail.record(summary);
  report?.write(summary);
  report?.close();
  return status;
}

function tellOpening(plan: RunPlan, output: Output): void {
  const opening = {
    run: plan.id,
    deployment: plan.deployment,
    mode: plan.policy.mode,
    policy: plan.policyId,
  };
  output.say('info', [formatOpening(opening)], { kind: 'opening', ...opening });
}

function endOf(
  { plan, options, session }: Conducted,
  finished: Finished,
): Omit<Outcome, 'exit' | 'durationMs'> {
  return { mode: session ? plan.policy.mode : 'unguarded', labels: options.labels, finished };
}
