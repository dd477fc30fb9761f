import type { Command } from 'commander';
import type { Limits } from '../model/limits.ts';
import type { Mode } from '../model/verdict.ts';
import { readCpu, readMemory, readTasks } from '../policy/limits.ts';
import { isFault } from '../policy/problem.ts';
import { Failure, harmless } from './output.ts';

/** What `acyclic run` was asked to do (design §2), checked as far as it can be without a policy. */
export interface RunOptions {
  readonly policy: string | null;
  readonly deployment: string | null;
  /** Of the daemon, where it was named; null: in its usual place, if there is one. */
  readonly socket: string | null;
  /** Null: the policy's. */
  readonly mode: Mode | null;
  /** Refuse to start in any mode but enforce. */
  readonly requireEnforce: boolean;
  /** DESTs as given. */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly default: 'allow' | 'deny' | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Each in place of the policy's; null: the policy's. */
  readonly limits: Limits;
  readonly timeoutMs: number | null;
  readonly leftover: 'release' | 'kill';
  readonly report: string | null;
  /** Where the audit trail is kept; null: in its usual place. */
  readonly state: string | null;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly failOn: 'deny' | 'cycle' | 'new' | 'never';
  /** Reports of earlier runs, which `--fail-on new` compares with. */
  readonly baseline: readonly string[];
  /** The reason given, which goes on record. */
  readonly breakGlass: string | null;
  readonly allowInherited: boolean;
  /** Whether to watch how system calls return. */
  readonly syscalls: boolean;
  /** The command and its arguments; at least the command, which is not empty. */
  readonly command: readonly [string, ...string[]];
}

const TRY = 'try: acyclic run -- ./deploy.sh';
/** The longest delay a timer takes, 2^31 - 1 ms. */
const LONGEST_TIMEOUT_MS = 2_147_483_647;

/** Gives a command the options of `run`. They end at the guarded command; `--` is allowed before it. */
export function addRunOptions(command: Command): Command {
  return command
    .argument('[command...]', 'the command to guard, and its arguments')
    .passThroughOptions()
    .option('-p, --policy <path>', 'policy file or directory')
    .option('-d, --deployment <name>', 'what is being deployed, as named in the policy')
    .option('--socket <path>', 'of the daemon: $ACYCLIC_SOCKET, or /run/acyclic/acyclic.sock')
    .option('--audit', 'record what would be denied, and deny nothing')
    .option('--enforce', 'deny what the policy denies')
    .option('--require <mode>', 'refuse to start in any mode but this one (enforce)')
    .option(
      '--allow <dest>',
      'allow a destination, as *.github.com:443/tcp or service:mirror (repeatable)',
      append,
    )
    .option('--deny <dest>', 'deny a destination (repeatable)', append)
    .option('--default <answer>', 'what no rule names: allow or deny')
    .option('--label <k=v>', 'put a label on the run (repeatable)', append)
    .option('--cpu <share>', 'limit it to this share of a processor: 50%, or 200% for two')
    .option('--memory <size>', 'limit its memory, as 512MiB or 2GiB; beyond that processes of it are killed')
    .option('--tasks <number>', 'limit its processes and threads; beyond that fork fails')
    .option('--timeout <time>', 'stop the command after this time: 30s, 10m, 2h, or seconds')
    .option('--leftover <what>', 'what the command leaves running: release or kill', 'release')
    .option('--report <file>', 'write every event, and a summary last, as JSON Lines')
    .option('--state <dir>', 'where the audit trail is kept: $ACYCLIC_STATE, or /var/lib/acyclic')
    .option('--json', 'make the lines on standard error JSON objects')
    .option('--quiet', 'leave only errors and denials')
    .option(
      '--fail-on <what>',
      'exit 122 if the command succeeds but there was a: deny, cycle, new destination, or never',
      'never',
    )
    .option(
      '--baseline <file>',
      'for --fail-on new, the report of an earlier run, in place of the audit trail (repeatable)',
      append,
    )
    .option('--break-glass <reason>', 'run the command even if it cannot be guarded, and put that on record')
    .option('--allow-inherited', 'let the command keep outbound sockets it is started with')
    .option(
      '--no-syscalls',
      'do without watching system calls, which costs all processes of the host 70 ns each',
    )
    .addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Where the daemon runs it is asked to guard, and members of the group acyclic need no sudo; otherwise this command guards
by itself, as root. The daemon knows the installed policies alone, which others than root can only tighten: root's own
-p is guarded by this command all the same. If the daemon dies meanwhile, the run goes on under its last policy.

Examples:
  acyclic run -d mysql -- ./deploy.sh                            guarded by the daemon
  sudo acyclic run -- ./deploy.sh                                watch what a script calls; deny nothing
  sudo acyclic run -p acyclic.yaml -d mysql ./deploy.sh          guard it
  sudo acyclic run -p acyclic.yaml --audit --report calls.jsonl ./deploy.sh
  sudo acyclic run -p acyclic.yaml --require enforce --fail-on cycle --leftover kill ./deploy.sh   in CI`;

/** Gathers the values of an option that may be repeated. */
export function append(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** As commander leaves them: texts, flags and lists. */
interface RawOptions {
  readonly policy?: string;
  readonly deployment?: string;
  readonly socket?: string;
  readonly audit?: true;
  readonly enforce?: true;
  readonly require?: string;
  readonly allow?: string[];
  readonly deny?: string[];
  readonly default?: string;
  readonly label?: string[];
  readonly timeout?: string;
  readonly leftover: string;
  readonly report?: string;
  readonly state?: string;
  readonly json?: true;
  readonly quiet?: true;
  readonly failOn: string;
  readonly baseline?: string[];
  readonly breakGlass?: string;
  readonly allowInherited?: true;
  readonly syscalls: boolean;
  readonly cpu?: string;
  readonly memory?: string;
  readonly tasks?: string;
}

/** The options of a command made by `addRunOptions`, once parsed. Throws Failure for what cannot be meant. */
export function readRunOptions(command: Command): RunOptions {
  const raw = command.opts<RawOptions>();
  if (raw.audit && raw.enforce) throw contradiction('--audit', '--enforce');
  if (raw.audit && raw.require !== undefined) throw contradiction('--audit', '--require enforce');
  if (raw.breakGlass !== undefined && raw.require !== undefined) {
    throw contradiction('--break-glass', '--require enforce');
  }
  if (raw.baseline && raw.failOn !== 'new')
    throw new Failure('contradiction', '--baseline is for --fail-on new', 'give both, or leave it out');
  const breakGlass = text('--break-glass', raw.breakGlass, 'a reason for the record');
  if (raw.require !== undefined) oneOf('--require', raw.require, ['enforce']);
  return {
    policy: text('--policy', raw.policy, 'a file or directory'),
    deployment: text('--deployment', raw.deployment, 'a name'),
    socket: text('--socket', raw.socket, 'a path'),
    mode: raw.audit ? 'audit' : raw.enforce ? 'enforce' : null,
    requireEnforce: raw.require !== undefined,
    allow: raw.allow ?? [],
    deny: raw.deny ?? [],
    default: raw.default === undefined ? null : oneOf('--default', raw.default, ['allow', 'deny']),
    labels: readLabels(raw.label ?? []),
    limits: {
      cpu: readLimit('--cpu', raw.cpu, readCpu),
      memory: readLimit('--memory', raw.memory, readMemory),
      tasks: readLimit('--tasks', raw.tasks, readTasks),
    },
    timeoutMs: raw.timeout === undefined ? null : readTime('--timeout', raw.timeout),
    leftover: oneOf('--leftover', raw.leftover, ['release', 'kill']),
    report: text('--report', raw.report, 'a file'),
    state: text('--state', raw.state, 'a directory'),
    json: raw.json ?? false,
    quiet: raw.quiet ?? false,
    failOn: oneOf('--fail-on', raw.failOn, ['deny', 'cycle', 'new', 'never']),
    baseline: raw.baseline ?? [],
    breakGlass,
    allowInherited: raw.allowInherited ?? false,
    syscalls: raw.syscalls,
    command: readCommand(command.args),
  };
}

function readCommand(args: readonly string[]): readonly [string, ...string[]] {
  const [file, ...rest] = args;
  if (file === undefined) throw new Failure('no-command', 'no command given to guard', TRY);
  // The shell's answer to '' is "not found", so it is ours.
  if (file === '') throw new Failure('no-command', 'the command to guard is an empty string', TRY, 127);
  return [file, ...rest];
}

/** Milliseconds in `30s`, `1h30m`, `250ms`, or plain seconds (`90`, `1.5`); null for what is none of them. */
export function parseDuration(text: string): number | null {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000);
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return null;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) {
    total += Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS];
  }
  return Math.round(total);
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A time that a timer can wait, in milliseconds. Throws Failure. */
export function readTime(option: string, given: string): number {
  const ms = parseDuration(given);
  if (ms === null) throw badValue(option, given, 'a time, such as 30s, 10m or 2h');
  if (ms < 1) throw badValue(option, given, 'a time above zero; leave it out for no limit');
  if (ms > LONGEST_TIMEOUT_MS) throw badValue(option, given, 'a time of at most 24 days');
  return ms;
}

/** A limit, as the policy language has it. Throws Failure. */
function readLimit(option: string, given: string | undefined, read: typeof readCpu): number | null {
  if (given === undefined) return null;
  const limit = read(given);
  if (!isFault(limit)) return limit;
  const remedy = limit.suggestion && `did you mean \`${option} ${limit.suggestion}\`?`;
  throw new Failure('bad-value', `${option}: ${harmless(limit.message)}`, remedy);
}

const LABEL = /^([A-Za-z_][A-Za-z0-9_./-]{0,62})=(.{0,256})$/;

/** Labels given as KEY=VALUE. Throws Failure. */
export function readLabels(given: readonly string[]): Record<string, string> {
  const labels = new Map<string, string>();
  for (const label of given) {
    const [, key, value] = LABEL.exec(label) ?? [];
    if (key === undefined || value === undefined)
      throw badValue('--label', label, 'KEY=VALUE, such as team=db');
    if (labels.has(key)) throw new Failure('contradiction', `--label ${key} is given twice`, 'leave one out');
    labels.set(key, value);
  }
  return Object.fromEntries(labels);
}

function oneOf<const Choice extends string>(
  option: string,
  given: string,
  choices: readonly Choice[],
): Choice {
  const found = choices.find((choice) => choice === given);
  if (found === undefined) throw badValue(option, given, choices.join(' or '));
  return found;
}

/** A text that says something; null where it was not given. Throws Failure. */
export function text(option: string, given: string | undefined, meant: string): string | null {
  if (given === undefined) return null;
  if (given.trim() === '') throw badValue(option, given, meant);
  return given;
}

function badValue(option: string, given: string, meant: string): Failure {
  return new Failure('bad-value', `${option} cannot be \`${harmless(given)}\``, `give it ${meant}`);
}

export function contradiction(one: string, other: string): Failure {
  return new Failure('contradiction', `${one} and ${other} contradict each other`, 'leave one out');
}
