import { readlinkSync } from 'node:fs';
import type { AuditTrail } from '../audit/trail.ts';
import { callsBefore } from '../guard/established.ts';
import { isAlive, readEntries } from '../guard/registry.ts';
import type { RunGuard } from '../guard/run-guard.ts';
import { type RunPlan, sessionPlan } from '../guard/run-plan.ts';
import { countsOf, summarize } from '../guard/run-summary.ts';
import { startSession } from '../guard/session.ts';
import { sweep } from '../guard/sweep.ts';
import { Tally } from '../guard/tally.ts';
import { resolveTarget } from '../guard/target.ts';
import { type Cgroup, processesIn } from '../kernel/cgroup.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { describeForeign, foreignPrograms } from '../kernel/foreign-programs.ts';
import { limitsIn } from '../kernel/limits.ts';
import { preflight } from '../kernel/preflight.ts';
import type { AttachedCgroup } from '../model/summary.ts';
import type { AttachOptions } from './attach-options.ts';
import { planAttach } from './attach-plan.ts';
import { shellQuote } from './message.ts';
import { openReport } from './open-report.ts';
import { createOutput, type Output } from './output.ts';
import { tellEnd } from './run-end.ts';
import type { RunOptions } from './run-options.ts';
import { showCommand } from './show-command.ts';
import { formatAttachOpening } from './summary.ts';
import { Teller, tellSwept } from './teller.ts';
import { closeTrail, openTrail, recordStart } from './trail.ts';

const GUARD_LOST = 125;
const REPEATS_EVERY_MS = 1000;

/** Guards or observes an existing cgroup until its end; gives the exit status. Throws what happens before. */
export async function guardExisting(options: AttachOptions): Promise<number> {
  const output = createOutput(options);
  preflight();
  const cgroup = await resolveTarget(options.target);
  for (const swept of await sweep()) tellSwept(output, swept);
  refuseSecond(cgroup, options);
  const asRun: RunOptions = { ...options, command: commandOf(options, cgroup) };
  const plan = planAttach(options, asRun, output);
  warnOf(cgroup, plan, output);
  const report = options.report === null ? null : openReport(options.report);
  const trail = openTrail(asRun, output);
  const ending = new Ending(options.forMs);
  try {
    const teller = new Teller({
      ...{ output, report, trail },
      tally: new Tally({ staged: plan.staged?.id ?? null, seen: null }),
      more: (id) => showCommand(asRun, id),
    });
    const session = await attach(cgroup, options, plan, { teller, output, trail, ending });
    try {
      // One that began at the same time was not on file before: of two, the later goes.
      refuseSecond(cgroup, options, plan.id);
    } catch (error) {
      await session.finish();
      throw error;
    }
    recordStart(trail, asRun, plan, plan.policy.mode);
    const place = {
      cgroup: cgroup.path,
      service: options.service,
      established: callsBefore(cgroup, plan.policy),
    };
    Teller.warm(output);
    tellOpening(plan, place, output);
    const started = performance.now();
    const repeats = setInterval(() => teller.tellRepeats(), REPEATS_EVERY_MS);
    const why = await ending.came;
    clearInterval(repeats);
    const finished = await session.finish();
    const ended = finished.guardLost ? 'lost' : why;
    await trail.flushed();
    const summary = summarize(plan, teller.tally, trail, {
      ...{ mode: plan.policy.mode, labels: options.labels, finished, attached: { ...place, ended } },
      exit: { command: null, acyclic: finished.guardLost ? GUARD_LOST : 0 },
      durationMs: performance.now() - started,
    });
    tellEnd({ output, report, trail, teller }, asRun, summary, finished);
    return summary.exit.acyclic;
  } finally {
    report?.close();
    await closeTrail(trail, output);
    ending.release();
  }
}

async function attach(
  cgroup: Cgroup,
  options: AttachOptions,
  plan: RunPlan,
  { teller, output, trail, ending }: { teller: Teller; output: Output; trail: AuditTrail; ending: Ending },
): Promise<RunGuard> {
  return await startSession({
    ...sessionPlan(plan),
    leftover: 'release',
    attach: { cgroup, service: options.service, onGone: () => ending.end('gone') },
    syscalls: options.syscalls,
    counts: () => countsOf(teller.tally, trail),
    onDenied: (recorded) => teller.tell(recorded),
    onEvent: (recorded) => teller.record(recorded),
    onCarried: ({ event }) => teller.carried(event),
    onUnwatched: (what) => output.say('warning', [`acyclic: not watched: ${what}`]),
    onLost: () => {
      output.say('error', ['acyclic: the guard is lost: somebody took its programs off the cgroup']);
      ending.end('lost');
    },
  });
}

/** When it is over: what comes first. Until released, no signal ends this process before its guard is taken off. */
class Ending {
  readonly came: Promise<AttachedCgroup['ended']>;
  readonly #signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
  readonly #timer: NodeJS.Timeout | null;
  readonly #asked = () => this.end('asked');
  #resolve: (why: AttachedCgroup['ended']) => void = () => {};

  constructor(forMs: number | null) {
    this.came = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    for (const signal of this.#signals) process.on(signal, this.#asked);
    this.#timer = forMs === null ? null : setTimeout(() => this.end('time'), forMs);
  }

  end(why: AttachedCgroup['ended']): void {
    this.#resolve(why);
  }

  release(): void {
    if (this.#timer) clearTimeout(this.#timer);
    for (const signal of this.#signals) process.off(signal, this.#asked);
  }
}

/** Calls would be counted, or judged, twice. `own`: the id of this one, once it is on file. */
function refuseSecond({ path, id }: Cgroup, { service }: AttachOptions, own?: string): void {
  const same = readEntries().find(
    ({ id: other, cgroup, attached, engine }) =>
      cgroup === path &&
      (own === undefined || other < own) &&
      attached?.id === String(id) &&
      (attached.service === null) === (service === null) &&
      isAlive(engine),
  );
  if (!same) return;
  throw new SetupFailure(
    'attached-already',
    `process ${same.engine.pid} is attached to ${path} already, as attach ${same.id}`,
    `end that one first: acyclic detach ${same.id}`,
  );
}

/** What the record says it was started as: the cgroup that was found, however it was named. */
function commandOf({ service, target }: AttachOptions, { path }: Cgroup): [string, ...string[]] {
  const named = target.by === 'cgroup' ? [] : [`--${target.by}`, target.text];
  const as = service === null ? [] : ['--service', service];
  return ['acyclic', 'attach', ...as, ...(named.length > 0 ? named : ['--cgroup', path])];
}

/** What the operator would not expect of such a cgroup. */
function warnOf(cgroup: Cgroup, plan: RunPlan, output: Output): void {
  const { policy } = plan;
  for (const foreign of foreignPrograms(cgroup).filter(({ effect }) => effect === 'yields'))
    output.say('warning', [
      `acyclic: ${describeForeign(foreign)} does not see ${foreign.hook} there while Acyclic is attached (BPF_F_ALLOW_OVERRIDE)`,
    ]);
  if (limitsIn(plan.limits).length > 0)
    output.say('warning', [
      'acyclic: limits of the deployment are those of its runs: what is in the cgroup is not limited',
    ]);
  const own = link('/proc/self/ns/net');
  const others = processesIn(cgroup.path).some((pid) => ![own, null].includes(link(`/proc/${pid}/ns/net`)));
  if (others && policy.mode === 'enforce')
    output.say('warning', [
      'acyclic: processes there are in another network namespace, where no name can be answered: their lookups will fail',
      `attach from within it: nsenter --net=/proc/${processesIn(cgroup.path)[0]}/ns/net ${shellQuote('acyclic')} attach …`,
    ]);
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

function tellOpening(plan: RunPlan, place: Omit<AttachedCgroup, 'ended'>, output: Output): void {
  const { id, deployment, policy, policyId } = plan;
  const opening = { run: id, deployment, mode: policy.mode, policy: policyId };
  output.say('info', formatAttachOpening(opening, place), {
    ...{ kind: 'opening', ...opening, attached: place },
  });
}
