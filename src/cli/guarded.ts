import { hostname } from 'node:os';
import { ulid } from 'ulid';
import { type CommandSpec, type Running, resolveCommand, startCommand } from '../guard/command.ts';
import { inheritedSockets } from '../guard/inherited.ts';
import { type LoadedPolicy, loadInstalledPolicy, loadPolicy } from '../guard/policy-files.ts';
import type { Recorded } from '../guard/recorder.ts';
import { ReportFile } from '../guard/report.ts';
import { type Finished, ownAddresses, type Session, startSession } from '../guard/session.ts';
import { type Swept, sweep } from '../guard/sweep.ts';
import { Tally } from '../guard/tally.ts';
import { SetupFailure } from '../kernel/failure.ts';
import type { RunSummary } from '../model/summary.ts';
import { type CompiledPolicy, type CompileOptions, compile } from '../policy/compile.ts';
import { type DestPattern, parseDest } from '../policy/dest.ts';
import { formatProblem, isFault } from '../policy/problem.ts';
import { createFold, type Fold } from './fold.ts';
import { commandEnvironment, launchState } from './launch.ts';
import { type DenialView, formatDenial, formatTarget } from './message.ts';
import { createOutput, Failure, type Output } from './output.ts';
import type { RunOptions } from './run-options.ts';
import { formatOpening, formatSummary } from './summary.ts';

const TIMED_OUT = 124;
const FOUND = 122;
const REPEATS_EVERY_MS = 1000;

/** What a run is, once its policy is known. */
interface Plan {
  readonly id: string;
  readonly loaded: LoadedPolicy | null;
  readonly policy: CompiledPolicy;
  readonly elsewhere: CompiledPolicy;
}

/** Guards one command and gives the exit status of the whole. Throws what happens before it starts. */
export async function guardCommand(options: RunOptions): Promise<number> {
  const output = createOutput(options);
  const spec = commandSpec(options);
  const plan = makePlan(options, output);
  resolveCommand(spec.argv[0], pathOf(spec));
  checkInherited(options, plan.policy, spec, output);
  const report = options.report === null ? null : openReport(options.report);
  const teller = new Teller(output, report);
  for (const swept of await sweep()) tellSwept(output, swept);
  const session = await startSession({
    id: plan.id,
    host: hostname(),
    deployment: plan.policy.deployment ?? options.deployment,
    policy: plan.policy,
    policyElsewhere: plan.elsewhere,
    policyId: plan.loaded?.id ?? null,
    leftover: options.leftover,
    onEvent: (recorded) => teller.tell(recorded),
  });
  return conduct({ options, plan, spec, session, teller, output, report });
}

interface Conducted {
  readonly options: RunOptions;
  readonly plan: Plan;
  readonly spec: CommandSpec;
  readonly session: Session;
  readonly teller: Teller;
  readonly output: Output;
  readonly report: ReportFile | null;
}

/** The guard is in place: the command runs, ends, and all is told. */
async function conduct(run: Conducted): Promise<number> {
  const { options, plan, spec, session, teller, output, report } = run;
  const { mode, deployment } = plan.policy;
  const policy = plan.loaded?.id ?? null;
  output.say('info', [formatOpening({ deployment, mode, policy, run: plan.id })], {
    kind: 'opening',
    run: plan.id,
    deployment,
    mode,
    policy,
  });
  const started = performance.now();
  let running: Running;
  try {
    running = startCommand(spec, session.cgroup, options.timeoutMs);
  } catch (error) {
    await session.finish();
    report?.close();
    throw error;
  }
  session.commandStarted(running.pid);
  const repeats = setInterval(() => teller.tellRepeats(), REPEATS_EVERY_MS);
  const { status, timedOut } = await running.ended;
  clearInterval(repeats);
  const finished = await session.finish();
  const command = status;
  const acyclic = exitStatus(options, status, timedOut, teller.tally);
  const summary = summarize(run, finished, { command, acyclic }, performance.now() - started);
  if (timedOut)
    output.say('error', [`acyclic: the command timed out after ${(options.timeoutMs ?? 0) / 1000} s`]);
  const lines = formatSummary(summary, {
    denied: teller.fold.totals(),
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
  for (const failure of finished.failures) output.say('warning', [`acyclic: left behind: ${failure}`]);
  return acyclic;
}

function commandSpec(options: RunOptions): CommandSpec {
  return { argv: options.command, env: commandEnvironment(process.env), ...launchState(process.env) };
}

function pathOf(spec: CommandSpec): string | undefined {
  return spec.env.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length);
}

/** Reads and compiles the policy. Throws PolicyFailure, CompileFailure or Failure. */
function makePlan(options: RunOptions, output: Output): Plan {
  const loaded = options.policy === null ? loadInstalledPolicy() : loadPolicy(options.policy);
  if (!loaded && options.deployment !== null)
    throw new Failure(
      'bad-value',
      `there is no policy, so no deployment '${options.deployment}'`,
      'give a policy with -p, or leave -d out to observe',
    );
  const shared: Omit<CompileOptions, 'ownAddresses'> = {
    deployment: options.deployment,
    allow: options.allow.map((text) => readDest('--allow', text)),
    deny: options.deny.map((text) => readDest('--deny', text)),
    default: options.default,
    mode: options.mode,
    now: new Date(),
  };
  const policy = compile(loaded?.policy ?? null, { ...shared, ownAddresses: ownAddresses() });
  if (options.requireEnforce && policy.mode !== 'enforce')
    throw new Failure(
      'contradiction',
      `--require enforce, but ${loaded ? `the policy puts this deployment in ${policy.mode}` : 'there is no policy to enforce'}`,
      loaded ? 'set `mode: enforce` in the policy, or give --enforce' : 'give a policy with -p',
    );
  for (const warning of loaded?.warnings ?? []) output.say('warning', formatProblem(warning).split('\n'));
  for (const notice of loaded?.notices ?? []) output.say('warning', [`acyclic: ${notice}`]);
  return {
    id: ulid(),
    loaded,
    policy,
    elsewhere: compile(loaded?.policy ?? null, { ...shared, ownAddresses: [] }),
  };
}

function readDest(option: string, text: string): DestPattern {
  const dest = parseDest(text);
  if (!isFault(dest)) return dest;
  throw new Failure(
    'bad-value',
    `${option}: ${dest.message}`,
    dest.suggestion && `did you mean \`${dest.suggestion}\`?`,
  );
}

function openReport(path: string): ReportFile {
  try {
    return new ReportFile(path);
  } catch (error) {
    throw new Failure(
      'bad-value',
      `cannot write the report ${path}: ${(error as Error).message}`,
      'name another file',
    );
  }
}

/** Sockets the command is given were made outside the run, where no hook decides about them. */
function checkInherited(
  options: RunOptions,
  policy: CompiledPolicy,
  spec: CommandSpec,
  output: Output,
): void {
  const sockets = inheritedSockets(spec.fds);
  const outbound = sockets.filter((socket) => socket.outbound);
  const listed = sockets.map(({ description }) => description);
  if (policy.mode === 'enforce' && outbound.length > 0 && !options.allowInherited)
    throw new SetupFailure(
      'inherited-socket',
      `the command would inherit a socket that cannot be guarded: ${outbound.map(({ description }) => description).join('; ')}`,
      'close it before, or accept it with --allow-inherited',
    );
  if (listed.length > 0) output.say('info', ['acyclic: the command inherits sockets', ...listed]);
}

function tellSwept(output: Output, { id, state, processes }: Swept): void {
  const pids = processes.join(', ');
  const said = {
    cleared: `cleared what run ${id} left when Acyclic was killed${pids ? `; it left running: ${pids}` : ''}`,
    guarded: `run ${id} lost Acyclic and goes on under its last policy, without names: ${pids}`,
    stuck: `run ${id} lost Acyclic, and its cgroup cannot be cleared: ${pids}`,
  }[state];
  output.say(state === 'cleared' ? 'info' : 'warning', [`acyclic: ${said}`]);
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
  run: Conducted,
  finished: Finished,
  exit: RunSummary['exit'],
  duration: number,
): RunSummary {
  const { plan, teller, options } = run;
  const { tally } = teller;
  return {
    v: 1,
    kind: 'summary',
    id: ulid(),
    time: new Date().toISOString(),
    host: hostname(),
    run: plan.id,
    deployment: plan.policy.deployment ?? options.deployment,
    policy: plan.loaded?.id ?? null,
    mode: plan.policy.mode,
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

/** Puts every event into the report and the tally, and tells the denied ones at once, repeats folded. */
class Teller {
  readonly tally = new Tally();
  readonly fold: Fold = createFold();
  readonly #output: Output;
  readonly #report: ReportFile | null;

  constructor(output: Output, report: ReportFile | null) {
    this.#output = output;
    this.#report = report;
  }

  tell(recorded: Recorded): void {
    const { event, rule, cycle, saw } = recorded;
    this.#report?.write(event);
    this.tally.add(event, formatTarget(event));
    if (event.kind === 'escape') {
      const who = event.process ? `${event.process.comm}[${event.process.pid}]` : 'a process';
      this.#output.say(
        'denial',
        [`acyclic: ${who} left the run's cgroup: what it calls from now on is not guarded`],
        event,
      );
      return;
    }
    if (event.verdict !== 'deny' || rule === null) return;
    const view: DenialView = {
      event,
      rule,
      cycle,
      dependency: event.dependency,
      saw: saw ?? '',
      lineage: [...(event.process?.ancestry ?? [])].reverse(),
      instead: rule.instead,
      repeats: 0,
      more: null,
    };
    if (this.fold.first(view, performance.now()))
      this.#output.say('denial', formatDenial(view, this.#output.width), event);
  }

  tellRepeats(): void {
    for (const line of this.fold.due(performance.now())) this.#output.say('denial', [line]);
  }
}
