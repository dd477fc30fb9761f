import { readFileSync } from 'node:fs';
import { type CommandSpec, variableOf } from '../guard/command.ts';
import { inheritedSockets } from '../guard/inherited.ts';
import type { GivenCommand } from '../guard/naming.ts';
import { loadInstalledPolicy, loadPolicy } from '../guard/policy-files.ts';
import { ReportFile } from '../guard/report.ts';
import { type AskedRun, planRun, type RunPlan } from '../guard/run-plan.ts';
import { SetupFailure } from '../kernel/failure.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { type DestPattern, parseDest } from '../policy/dest.ts';
import { formatProblem, isFault } from '../policy/problem.ts';
import { commandEnvironment, exactArguments, launchState } from './launch.ts';
import { Failure, type Output } from './output.ts';
import type { RunOptions } from './run-options.ts';

/** The command as it is to be started. */
export function commandSpec({ command }: RunOptions): CommandSpec {
  return {
    name: command[0],
    argv: exactArguments(command, readFileSync('/proc/self/cmdline')),
    env: commandEnvironment(process.env),
    ...launchState(process.env),
  };
}

/** The command as far as it can be read: `file` is the program it was found to be. */
export function givenCommand({ argv, env }: CommandSpec, file: string): GivenCommand {
  return {
    argv: [file, ...argv.slice(1).map(String)],
    cwd: process.cwd(),
    path: variableOf(env, 'PATH') ?? '',
    home: variableOf(env, 'HOME') ?? null,
  };
}

/** Reads and compiles the policy. Throws PolicyFailure, CompileFailure or Failure. */
export function makePlan(options: RunOptions, output: Output): RunPlan {
  const loaded = options.policy === null ? loadInstalledPolicy() : loadPolicy(options.policy);
  if (!loaded && options.deployment !== null)
    throw new Failure(
      'bad-value',
      `there is no policy, so no deployment '${options.deployment}'`,
      'give a policy with -p, or leave -d out to observe',
    );
  const plan = planRun(loaded, askedOf(options), (text) => output.say('warning', [`acyclic: ${text}`]));
  const { policy } = plan;
  if (options.requireEnforce && policy.mode !== 'enforce')
    throw new Failure(
      'contradiction',
      `--require enforce, but ${loaded ? `the policy puts this deployment in ${policy.mode}` : 'there is no policy to enforce'}`,
      loaded ? 'set `mode: enforce` in the policy, or give --enforce' : 'give a policy with -p',
    );
  for (const warning of loaded?.problems ?? []) output.say('warning', formatProblem(warning).split('\n'));
  return plan;
}

/** A plan that only records, for when the policy cannot be had. */
export function observePlan(options: RunOptions): RunPlan {
  const asked = askedOf({ ...options, deployment: null, allow: [], deny: [], default: null });
  return planRun(null, asked, () => {});
}

function askedOf(options: RunOptions): AskedRun {
  return {
    deployment: options.deployment,
    allow: options.allow.map((text) => readDest('--allow', text)),
    deny: options.deny.map((text) => readDest('--deny', text)),
    default: options.default,
    mode: options.mode,
    now: new Date(),
    limits: options.limits,
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

/** Sockets the command is given were made outside the run, where no hook decides about them. */
export function checkInherited(
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

/** The file of `--report`, made before anything is started. */
export function openReport(path: string): ReportFile {
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
