import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { constants, hostname, userInfo } from 'node:os';
import { ulid } from 'ulid';
import type { AuditTrail } from '../audit/trail.ts';
import type { CommandSpec } from '../guard/command.ts';
import type { HeldSignals } from '../guard/held-signals.ts';
import type { ReportFile } from '../guard/report.ts';
import type { RunPlan } from '../guard/run-plan.ts';
import { processes } from '../kernel/native.ts';
import type { AuditEvent } from '../model/event.ts';
import { presentTime } from '../model/time.ts';
import { harmless, type Output } from './output.ts';
import { makePlan, observePlan } from './plan.ts';
import type { RunOptions } from './run-options.ts';

/** The trail is waited for no longer than this: breaking the glass must not become an outage of its own. */
const TRAIL_PATIENCE_MS = 2000;

/**
 * `--break-glass`: the command runs whatever is broken, in audit where that can be had. Never automatic, and
 * never silent: it is said, and goes on record in the journal and the audit trail before the command starts.
 */
export async function breakGlass(
  options: RunOptions,
  output: Output,
  trail: AuditTrail,
  report: ReportFile | null,
): Promise<RunPlan> {
  const audit: RunOptions = { ...options, mode: 'audit', requireEnforce: false, allowInherited: true };
  let plan: RunPlan;
  let fault: string | null = null;
  try {
    plan = makePlan(audit, output);
  } catch (error) {
    fault = (error as Error).message;
    plan = observePlan(audit);
  }
  const reason = harmless(options.breakGlass ?? '');
  const lines = [`acyclic: BREAK GLASS: nothing is denied to this run: ${reason}`];
  if (fault) lines.push(...`the policy is not used: ${fault}`.split('\n'));
  output.say('error', lines);
  const event = eventOf(options, plan);
  report?.write(event);
  const text = `break glass by ${who()}: run ${plan.id} of ${plan.mask.argv(options.command).map(harmless).join(' ')}: ${reason}`;
  const failures = [toJournal(text), await toTrail(trail, event)].filter((failure) => failure !== null);
  for (const failure of failures)
    output.say('error', [`acyclic: breaking the glass could not be put on record: ${failure}`]);
  return plan;
}

/** Whether the addon is there to start the command with. */
export function canSpawn(): boolean {
  try {
    processes();
    return true;
  } catch {
    return false;
  }
}

/** The command without guard and addon, by Node alone: better than no command. Gives its exit status. */
export async function runBare(spec: CommandSpec, held: HeldSignals): Promise<number> {
  const env = Object.fromEntries(spec.env.map(String).map((entry) => entry.split(/=(.*)/s)));
  const child = spawn(spec.name, spec.argv.slice(1).map(String), { stdio: 'inherit', env });
  const ended = new Promise<{ status: number; timedOut: false }>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status, signal) =>
      resolve({ status: status ?? 128 + (signal ? constants.signals[signal] : 0), timedOut: false }),
    );
  });
  const { pid } = child;
  if (pid !== undefined) held.handOver(() => ({ pid, ended }));
  return (await ended).status;
}

/** Null: no account has this uid. */
function nameOfUser(): string | null {
  try {
    return userInfo().username;
  } catch {
    return null;
  }
}

function who(): string {
  const uid = process.getuid?.() ?? -1;
  const username = nameOfUser() ?? 'a user without a name';
  const asked = process.env.SUDO_USER;
  return asked ? `${harmless(asked)} (as ${username})` : `${username} (uid ${uid})`;
}

function eventOf(options: RunOptions, plan: RunPlan): AuditEvent {
  return {
    v: 1,
    id: ulid(),
    time: presentTime(),
    host: hostname(),
    run: plan.id,
    deployment: plan.deployment,
    policy: plan.policyId,
    count: 1,
    kind: 'policy',
    destination: null,
    process: {
      pid: process.pid,
      start: null,
      uid: process.getuid?.() ?? null,
      comm: 'acyclic',
      exe: process.execPath,
      argv: plan.mask.argv([
        ...['acyclic', 'run', '--break-glass', options.breakGlass ?? '', '--'],
        ...options.command,
      ]),
      ancestry: [],
    },
    verdict: null,
    rule: { source: '--break-glass', kind: 'option', reason: options.breakGlass, owner: who() },
    dependency: null,
    outcome: null,
    hook: null,
  };
}

/** The system's log by logger(1), else the kernel's, which the journal reads too. Null: it is there. */
function toJournal(text: string): string | null {
  try {
    execFileSync('logger', ['-t', 'acyclic', '-p', 'authpriv.warning', '--socket-errors=on', '--', text], {
      stdio: 'ignore',
      timeout: 2000,
    });
    return null;
  } catch {
    try {
      writeFileSync('/dev/kmsg', `<4>acyclic: ${text}\n`);
      return null;
    } catch (error) {
      return `in the journal: ${(error as Error).message}`;
    }
  }
}

async function toTrail(trail: AuditTrail, event: AuditEvent): Promise<string | null> {
  trail.record(event);
  if (!(await trail.flushed(TRAIL_PATIENCE_MS))) return 'in the audit trail: its writer does not answer';
  return trail.lost > 0 ? 'in the audit trail: it cannot be written' : null;
}
