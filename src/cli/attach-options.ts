import { type Command, Option } from 'commander';
import type { Target } from '../guard/target.ts';
import { NO_LIMITS } from '../model/limits.ts';
import type { Mode } from '../model/verdict.ts';
import { Failure, harmless } from './output.ts';
import { append, contradiction, type RunOptions, readLabels, readTime, text } from './run-options.ts';

/** What `acyclic attach` was asked to do, checked as far as it can be without a policy. */
export interface AttachOptions extends Omit<RunOptions, 'command'> {
  readonly target: Target;
  /** The service that its processes are; null: they are guarded or watched as a run's are. */
  readonly service: string | null;
  /** Null: until it is told to end. */
  readonly forMs: number | null;
}

const WAYS = ['cgroup', 'pid', 'unit', 'container'] as const;
export type GivenTarget = { readonly [Way in (typeof WAYS)[number]]?: string };

/** Gives a command the options that name an existing cgroup. */
export function addTargetOptions(command: Command): Command {
  return command
    .option('--cgroup <path>', 'a cgroup v2 directory, in full or from the root of the tree')
    .option('--pid <pid>', 'the cgroup this process is in')
    .option('--unit <unit>', 'the cgroup of this systemd unit')
    .option('--container <id>', 'the cgroup of this container: docker, containerd or podman')
    .option('--socket <path>', 'of the daemon: $ACYCLIC_SOCKET, or /run/acyclic/acyclic.sock');
}

export function addAttachOptions(command: Command): Command {
  return addTargetOptions(command)
    .option('--service <name>', 'its processes are this service: record what it calls, and deny nothing')
    .option('-d, --deployment <name>', 'guard it as this deployment, as named in the policy')
    .option('-p, --policy <path>', 'policy file or directory; default: the installed one')
    .option('--audit', 'record what would be denied, and deny nothing')
    .option('--enforce', 'deny what the policy denies')
    .option('--for <time>', 'end after this time: 30s, 10m, 2h, or seconds')
    .option('--label <k=v>', 'put a label on the record (repeatable)', append)
    .option('--report <file>', 'write every event, and a summary last, as JSON Lines')
    .option('--state <dir>', 'where the audit trail is kept: $ACYCLIC_STATE, or /var/lib/acyclic')
    .option('--json', 'make the lines on standard error JSON objects')
    .option('--quiet', 'leave only errors and denials')
    .addOption(
      new Option(
        '--no-syscalls',
        'do without watching system calls, which costs all processes of the host 70 ns each',
      ),
    );
}

interface RawOptions extends GivenTarget {
  readonly service?: string;
  readonly deployment?: string;
  readonly socket?: string;
  readonly policy?: string;
  readonly audit?: true;
  readonly enforce?: true;
  readonly for?: string;
  readonly label?: string[];
  readonly report?: string;
  readonly state?: string;
  readonly json?: true;
  readonly quiet?: true;
  readonly syscalls: boolean;
}

/** The options of a command made by `addAttachOptions`, once parsed. Throws Failure for what cannot be meant. */
export function readAttachOptions(command: Command): AttachOptions {
  const raw = command.opts<RawOptions>();
  const target = readTarget(raw);
  if (!target)
    throw new Failure(
      'usage',
      'nothing was named to attach to',
      'give one of --cgroup, --pid, --unit, --container',
    );
  const service = text('--service', raw.service, 'the name of a service');
  if (raw.audit && raw.enforce) throw contradiction('--audit', '--enforce');
  if (service !== null && raw.enforce)
    throw new Failure(
      'contradiction',
      '--service only records: rules are for deployments, and a service has none to be judged by',
      'leave --enforce out, or guard it as a deployment with -d in place of --service',
    );
  if (service !== null && raw.deployment !== undefined) throw contradiction('--service', '--deployment');
  if (raw.enforce && raw.deployment === undefined && raw.policy === undefined)
    throw new Failure('contradiction', '--enforce, but nothing says by which rules', 'name a deployment: -d');
  return {
    target,
    service,
    forMs: raw.for === undefined ? null : readTime('--for', raw.for),
    policy: text('--policy', raw.policy, 'a file or directory'),
    deployment: text('--deployment', raw.deployment, 'a name'),
    socket: text('--socket', raw.socket, 'a path'),
    mode: modeOf(raw, service),
    labels: readLabels(raw.label ?? []),
    report: text('--report', raw.report, 'a file'),
    state: text('--state', raw.state, 'a directory'),
    json: raw.json ?? false,
    quiet: raw.quiet ?? false,
    syscalls: raw.syscalls,
    ...NOT_OF_ATTACH,
  };
}

/** Options of a run that an attach does not have, as they are when not given. */
const NOT_OF_ATTACH = {
  requireEnforce: false,
  allow: [],
  deny: [],
  default: null,
  limits: NO_LIMITS,
  timeoutMs: null,
  leftover: 'release',
  failOn: 'never',
  baseline: [],
  breakGlass: null,
  allowInherited: false,
} as const;

function modeOf({ audit, enforce }: RawOptions, service: string | null): Mode | null {
  if (service !== null || audit) return 'audit';
  return enforce ? 'enforce' : null;
}

/** The cgroup that options of `addTargetOptions` name; null where none does. Throws Failure for several. */
export function readTarget(raw: GivenTarget): Target | null {
  const [by, other] = WAYS.filter((way) => raw[way] !== undefined);
  if (by === undefined) return null;
  if (other !== undefined)
    throw new Failure('contradiction', `--${by} and --${other} both name what to attach to`, 'leave one out');
  const given = text(`--${by}`, raw[by], 'a name') ?? '';
  if (by === 'pid' && !/^[1-9]\d{0,9}$/.test(given))
    throw new Failure(
      'bad-value',
      `--pid cannot be \`${harmless(given)}\``,
      'give it the number of a process',
    );
  return { by, text: given };
}
