import { styleText } from 'node:util';
import type { Attachment, Entry, LapsingWaiver, PolicyInForce, RunState, Status } from '../daemon/answers.ts';
import { shellQuote, trim } from './message.ts';
import { harmless } from './output.ts';
import type { Printer } from './print.ts';
import { detail, humanTime } from './run-text.ts';
import { formatDuration } from './summary.ts';

/** What the daemon says of itself, for people: what is wrong comes first. */
export function formatDaemonStatus(
  status: Status,
  now: Date,
  { width, colour }: Pick<Printer, 'width' | 'colour'>,
): string[] {
  const { version, pid, started, degraded, features, policies, runs, attachments, entries, waivers } = status;
  const tidy = (line: string) => trim(harmless(line), width ?? Number.POSITIVE_INFINITY);
  const warn = (line: string) => (colour ? styleText('yellow', line, { validateStream: false }) : line);
  const is = degraded.length > 0 ? 'degraded' : 'running';
  return [
    tidy(`acyclic ${version}: ${is}: daemon ${pid}, up ${since(started, now)}`),
    ...labelled('degraded', degraded).map(tidy).map(warn),
    ...[
      ...labelled('kernel', [`uses ${features.length > 0 ? features.join(', ') : 'nothing yet'}`]),
      ...labelled('policy', policies.length > 0 ? policies.map(formatPolicy) : ['none: runs only watch']),
      ...labelled('entries', entries.map(formatEntry)),
      ...labelled('waivers', waivers.map(formatWaiver)),
      ...labelled('runs', [
        `${runs.length === 0 ? 'none' : runs.length} in progress`,
        ...runs.flatMap((run) => formatRunState(run, now)),
      ]),
      ...labelled(
        'attached',
        attachments.flatMap((one) => formatAttachment(one, now)),
      ),
      ...labelled('lost', formatLost(status.lost)),
    ].map(tidy),
  ];
}

function labelled(label: string, texts: readonly string[]): string[] {
  return texts.map((text, i) => detail(i === 0 ? label : '', text));
}

function since(time: string, now: Date): string {
  return formatDuration(Math.max(0, now.getTime() - Date.parse(time)));
}

function by(policy: string | null): string {
  return policy === null ? 'no policy' : `policy ${policy}`;
}

function formatPolicy({ deployment, id, mode, source, applied }: PolicyInForce): string {
  return `${deployment ?? 'every other run'}  ${mode}  ${id}  ${source}, since ${humanTime(applied)}`;
}

function formatEntry({ id, verdict, destination, deployment, until, reason, who }: Entry): string {
  const where = deployment === null ? '' : ` for ${deployment}`;
  return `${verdict} ${destination}${where} until ${humanTime(until)}   ${reason}   uid ${who.uid}, ${id}`;
}

function formatWaiver({ deployment, service, until, owner }: LapsingWaiver): string {
  return `${deployment}: that of ${service}, until ${until} (UTC)${owner === null ? '' : `   owner ${owner}`}`;
}

function formatRunState(run: RunState, now: Date): string[] {
  const { id, deployment, mode, policy, started, uid, command, comm } = run;
  const words = [deployment, mode, by(policy)].filter((word) => word !== null);
  const what = command?.map(shellQuote).join(' ') ?? comm ?? 'command unknown';
  return [
    [id, ...words, `since ${humanTime(started)} (${since(started, now)})`].join(' · '),
    `  ${uid === null ? '' : `uid ${uid}: `}${what}`,
    `  ${formatCounts(run.calls, run.denials)}, ${run.would_deny} would be denied`,
  ];
}

function formatAttachment(one: Attachment, now: Date): string[] {
  const { id, target, cgroup, deployment, mode, policy, since: from } = one;
  const words = [deployment, mode, by(policy)].filter((word) => word !== null);
  return [
    [id, ...words, `since ${humanTime(from)} (${since(from, now)})`].join(' · '),
    `  ${target} in ${cgroup}`,
    `  ${formatCounts(one.calls, one.denials)}`,
  ];
}

function formatCounts(calls: number, denials: number): string {
  return `${calls} call${calls === 1 ? '' : 's'}, ${denials} denied`;
}

function formatLost(lost: Readonly<Record<string, number>>): string[] {
  const causes = Object.entries(lost).filter(([, count]) => count > 0);
  return causes.length > 0 ? causes.map(([cause, count]) => `${count} (${cause})`) : ['nothing'];
}
