import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { ulid } from 'ulid';
import { createMask, type Mask } from '../audit/mask.ts';
import { type CommandSpec, variableOf } from '../guard/command.ts';
import { inheritedSockets } from '../guard/inherited.ts';
import type { GivenCommand } from '../guard/naming.ts';
import { ownAddresses } from '../guard/own-addresses.ts';
import { type LoadedPolicy, loadInstalledPolicy, loadPolicy } from '../guard/policy-files.ts';
import type { StagedRun } from '../guard/recorder.ts';
import { ReportFile } from '../guard/report.ts';
import { SetupFailure } from '../kernel/failure.ts';
import type { Limits } from '../model/limits.ts';
import { type CompiledPolicy, type CompileOptions, compile } from '../policy/compile.ts';
import { type DestPattern, parseDest } from '../policy/dest.ts';
import { limitsOfRun } from '../policy/limits.ts';
import { formatProblem, isFault } from '../policy/problem.ts';
import { commandEnvironment, exactArguments, launchState } from './launch.ts';
import { Failure, type Output } from './output.ts';
import type { RunOptions } from './run-options.ts';

/** What a run is, once its policy is known. */
export interface Plan {
  /** ULID. */
  readonly id: string;
  readonly deployment: string | null;
  /** Null: there is no policy, the run is observed. */
  readonly policyId: string | null;
  readonly policy: CompiledPolicy;
  /** As from another network namespace, where this host's addresses are not a socket's own. */
  readonly elsewhere: CompiledPolicy;
  /** Evaluated beside the policy, and recorded. */
  readonly staged: StagedRun | null;
  /** What it may use of the host. */
  readonly limits: Limits;
  /** Takes secrets out of what is told and recorded. */
  readonly mask: Mask;
}

/** What a session needs to know of a plan. */
export function sessionPlan(plan: Plan) {
  const { id, deployment, policy, elsewhere: policyElsewhere, policyId, staged, mask } = plan;
  return { id, host: hostname(), deployment, policy, policyElsewhere, policyId, staged, mask };
}

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
export function makePlan(options: RunOptions, output: Output): Plan {
  const loaded = options.policy === null ? loadInstalledPolicy() : loadPolicy(options.policy);
  if (!loaded && options.deployment !== null)
    throw new Failure(
      'bad-value',
      `there is no policy, so no deployment '${options.deployment}'`,
      'give a policy with -p, or leave -d out to observe',
    );
  const bare = planOf(options, loaded);
  const plan = { ...bare, staged: stagedBeside(bare, options, loaded, output) };
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
export function observePlan(options: RunOptions): Plan {
  return planOf({ ...options, deployment: null, allow: [], deny: [], default: null }, null);
}

/** The deployment's staged policy, with the run's options. It is never enforced, so it is never in the way. */
function stagedBeside(
  { policy: { deployment } }: Plan,
  options: RunOptions,
  loaded: LoadedPolicy | null,
  output: Output,
): StagedRun | null {
  const staged = deployment === null ? undefined : loaded?.staged.get(deployment);
  if (!staged) return null;
  const { policy, id, path } = staged;
  try {
    const compileWith = (addresses: CompileOptions['ownAddresses']) =>
      compile(policy, compileOptions({ ...options, deployment }, addresses));
    return { id, policy: compileWith(ownAddresses()), elsewhere: compileWith([]) };
  } catch (error) {
    output.say('warning', [`acyclic: the staged policy ${path} is not tried: ${(error as Error).message}`]);
    return null;
  }
}

function planOf(options: RunOptions, loaded: LoadedPolicy | null): Plan {
  const compileWith = (addresses: CompileOptions['ownAddresses']) =>
    compile(loaded?.policy ?? null, compileOptions(options, addresses));
  const policy = compileWith(ownAddresses());
  return {
    id: ulid(),
    deployment: policy.deployment ?? options.deployment,
    policyId: loaded?.id ?? null,
    policy,
    elsewhere: compileWith([]),
    staged: null,
    limits: limitsOfRun(policy.limits, options.limits),
    mask: createMask(loaded?.policy.mask),
  };
}

function compileOptions(options: RunOptions, addresses: CompileOptions['ownAddresses']): CompileOptions {
  return {
    deployment: options.deployment,
    allow: options.allow.map((text) => readDest('--allow', text)),
    deny: options.deny.map((text) => readDest('--deny', text)),
    default: options.default,
    mode: options.mode,
    now: new Date(),
    ownAddresses: addresses,
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
