import { styleText } from 'node:util';
import type { InstalledStatus, WaiverStatus } from '../guard/installed-status.ts';
import type { HostStatus, RunStatus } from '../guard/status.ts';
import type { Features } from '../kernel/features.ts';
import { shellQuote, trim } from './message.ts';
import { harmless } from './output.ts';
import { plural } from './policy-options.ts';
import type { Printer } from './print.ts';
import { detail, humanTime } from './run-text.ts';
import { formatDuration } from './summary.ts';

/** Deployments of a policy that are listed. */
const MOST_DEPLOYMENTS = 20;

/** A host's status for people, without a daemon's word: what is wrong comes first. `hung`: it is there, and silent. */
export function formatStatus(
  version: string,
  status: HostStatus,
  now: Date,
  { width, colour }: Pick<Printer, 'width' | 'colour'>,
  hung = false,
): string[] {
  const tidy = (line: string) => trim(harmless(line), width ?? Number.POSITIVE_INFINITY);
  const warn = (line: string) => (colour ? styleText('yellow', line, { validateStream: false }) : line);
  const { degraded, kernel, policy, runs, lost, spool, unseen } = status;
  return [
    tidy(
      hung
        ? `acyclic ${version}: degraded: the daemon does not answer`
        : `acyclic ${version}: not running: there is no daemon, and each run is guarded by the command that starts it`,
    ),
    ...labelled(
      'degraded',
      degraded.map(({ message }) => message),
    )
      .map(tidy)
      .map(warn),
    ...labelled(
      'not seen',
      unseen.map((what) => `${what}: try sudo`),
    )
      .map(tidy)
      .map(warn),
    ...[
      ...labelled('kernel', [`Linux ${kernel.release}`, ...formatFeatures(kernel.features)]),
      ...labelled('policy', formatPolicy(policy)),
      ...labelled('waivers', policy.state === 'loaded' ? policy.waivers.map(formatWaiver) : []),
      ...labelled('runs', runs ? formatRuns(runs, now) : []),
      ...labelled('lost', lost ? formatLost(lost) : []),
      ...labelled('spool', spool ? [formatSpool(spool)] : []),
    ].map(tidy),
  ];
}

function labelled(label: string, texts: readonly string[]): string[] {
  return texts.map((text, i) => detail(i === 0 ? label : '', text));
}

/** Those that are there, that are not, and that cannot be told, each on a line. */
function formatFeatures(features: Features): string[] {
  const names = (wanted: boolean | null) =>
    Object.entries(features).flatMap(([name, there]) => (there === wanted ? [name] : []));
  const lines: [string, string[]][] = [
    ['uses', names(true)],
    ['does without', names(false)],
    ['not known without root', names(null)],
  ];
  return lines.flatMap(([what, which]) => (which.length > 0 ? [`${what} ${which.join(', ')}`] : []));
}

function formatPolicy(policy: InstalledStatus): string[] {
  switch (policy.state) {
    case 'none':
      return [`none in ${policy.path}: a run without -p only watches`];
    case 'unseen':
      return [];
    case 'unreadable':
      return [`${policy.path}: cannot be read`];
    case 'mistaken':
      return [
        `${policy.path}: ${plural(policy.mistakes, 'mistake')}, see: acyclic policy check`,
        ...policy.first.split('\n'),
      ];
    case 'loaded': {
      const { path, id, deployments } = policy;
      const shown = deployments.slice(0, MOST_DEPLOYMENTS);
      const widest = Math.max(0, ...shown.map(({ name }) => name.length));
      const more = deployments.length - shown.length;
      return [
        `${path}, ${id}, ${plural(deployments.length, 'deployment')}`,
        ...shown.map(({ name, mode, source }) => `${name.padEnd(widest)}  ${mode.padEnd(7)}  ${source}`),
        ...(more > 0 ? [`and ${more} more`] : []),
      ];
    }
  }
}

function formatWaiver({ deployment, service, until, lapsed, owner, source }: WaiverStatus): string {
  const what = lapsed ? 'has lapsed with' : 'lapses with';
  return `${deployment}: that of ${service} ${what} ${until} (UTC)   ${source}${owner === null ? '' : `   owner ${owner}`}`;
}

function formatRuns(runs: readonly RunStatus[], now: Date): string[] {
  const going = runs.filter(({ guarded_by }) => guarded_by !== 'nobody').length;
  return [`${going === 0 ? 'none' : going} in progress`, ...runs.flatMap((run) => formatRun(run, now))];
}

function formatRun(run: RunStatus, now: Date): string[] {
  const { deployment, mode, policy, since, attached, counts } = run;
  const age = formatDuration(Math.max(0, now.getTime() - Date.parse(since)));
  const by = policy === null ? 'no policy' : `policy ${policy}`;
  const words = [deployment, mode, mode && by].filter((word) => word !== null);
  return [
    [run.run, ...words, `since ${humanTime(since)} (${age})`].join(' · '),
    `  ${attached ? formatAttached(attached) : formatCommand(run)}`,
    `  ${counts ? formatCounts(counts) : 'nothing counted yet'}`,
    ...formatStanding(run),
  ];
}

function formatCommand({ pid, command }: RunStatus): string {
  const started = command?.map(shellQuote).join(' ') ?? 'command unknown';
  return `${pid === null ? 'not started' : `pid ${pid}`}: ${started}`;
}

function formatAttached({ cgroup, service }: NonNullable<RunStatus['attached']>): string {
  return `attached to ${cgroup}${service === null ? '' : `, as service ${service}`}`;
}

function formatCounts({ calls, denials, would_deny: would, lost }: NonNullable<RunStatus['counts']>): string {
  const total = Object.values(lost).reduce((sum, count) => sum + count, 0);
  const parts = [plural(calls, 'call'), `${denials} denied`, `${would} would be denied`, `${total} lost`];
  return parts.join(', ');
}

function formatStanding({ guarded_by }: RunStatus): string[] {
  switch (guarded_by) {
    case 'engine':
      return [];
    case 'kernel':
      return ['  without Acyclic, which was killed: the kernel goes on by its last policy, lookups fail'];
    case 'nobody':
      return ['  over, and Acyclic was killed: the next run clears what is left'];
    case null:
      return ['  Acyclic was killed; whether it goes on cannot be told from here'];
  }
}

function formatLost(lost: Readonly<Record<string, number>>): string[] {
  const causes = Object.entries(lost).map(([cause, count]) => `${count} (${cause})`);
  return causes.length > 0 ? causes : ['nothing, in these runs'];
}

function formatSpool({ files, bytes }: NonNullable<HostStatus['spool']>): string {
  return bytes === 0
    ? 'nothing waits for the audit trail'
    : `${plural(files.length, 'file')}, ${bytes} bytes wait`;
}
