import type {
  AttachedCgroup,
  EstablishedConnection,
  RunLimits,
  RunSummary,
  StagedTotals,
} from '../model/summary.ts';
import { formatTarget } from '../model/target.ts';
import type { Mode } from '../model/verdict.ts';
import { writtenLimits } from '../policy/limits.ts';
import type { FoldTotal } from './fold.ts';
import { processLabel, shellQuote, trim } from './message.ts';

/** What the opening line says. */
export interface Opening {
  /** Null: nothing is deployed by name. */
  readonly deployment: string | null;
  readonly mode: Mode;
  /** Short id; null when there is no policy, and the run is only observed. */
  readonly policy: string | null;
  readonly run: string;
}

/** What an attach opens with: `observing migrations · audit · policy 3f9c2a1 · attach 01J…`, and where. */
export function formatAttachOpening(
  opening: Opening,
  { cgroup, service, established }: Omit<AttachedCgroup, 'ended'>,
): string[] {
  const first =
    service === null
      ? formatOpening(opening)
      : formatOpening(opening).replace(/^acyclic: \w+/, `acyclic: observing ${service}`);
  const left = established.map((one) => `left alone  ${formatEstablished(one)}`);
  return [first.replace(/ run (\w+)$/, ' attach $1'), `in ${cgroup}`, ...left];
}

/** `python3[4242] → 192.0.2.7:443/tcp   github`. */
function formatEstablished({ pid, comm, address, port, protocol, service }: EstablishedConnection): string {
  const place = address.includes(':') ? `[${address}]` : address;
  return `${comm ?? 'process'}[${pid}] → ${place}:${port}/${protocol}${service === null ? '' : `   ${service}`}`;
}

/** `guarding mysql · enforce · policy 3f9c2a1 · run 01J…`, or `observing · audit · no policy · run 01J…`. */
export function formatOpening({ deployment, mode, policy, run }: Opening): string {
  const name = deployment === null ? '' : ` ${deployment}`;
  const does = policy === null && mode === 'audit' ? 'observing' : 'guarding';
  const by = policy === null ? 'no policy' : `policy ${policy}`;
  return `acyclic: ${does}${name} · ${mode} · ${by} · run ${run}`;
}

/** What the caller knows beyond the summary itself. */
export interface SummaryContext {
  readonly denied: readonly FoldTotal[];
  /** Denied by the rules and let through: audit mode, or an `audit` rule. */
  readonly wouldDeny: readonly FoldTotal[];
  /** Everything called, most often first; shown where there is no policy to speak of it. */
  readonly seen: readonly (readonly [target: string, calls: number])[];
  /** Whether what was left running was put back, or killed. */
  readonly leftover: 'release' | 'kill';
  /** The file of `--report`. */
  readonly report: string | null;
  /** A command that makes a policy of what was seen; null when there is none. */
  readonly suggest: string | null;
  readonly width?: number;
}

const MOST_LINES = 5;

/** The end summary, told once the run is over. Parts with nothing to say are left out. */
export function formatSummary(summary: RunSummary, context: SummaryContext): string[] {
  const { width = 200 } = context;
  const lines = [formatEnd(summary)];
  const add = (label: string, values: readonly string[]) => {
    const shown = values.length > MOST_LINES ? values.slice(0, MOST_LINES - 1) : values;
    for (const [index, value] of shown.entries()) {
      lines.push(trim(`  ${(index === 0 ? label : '').padEnd(8)} ${value}`, width));
    }
    if (shown.length < values.length)
      lines.push(`  ${''.padEnd(8)} and ${values.length - shown.length} more`);
  };
  add(
    'cycles',
    summary.cycles.map((path) => path.join(' → ')),
  );
  add('denied', context.denied.map(formatTotal));
  add('would be', context.wouldDeny.map(formatTotal));
  if (summary.policy === null)
    add(
      'seen',
      context.seen.map(([target, calls]) => `${target}${calls > 1 ? ` ×${calls}` : ''}`),
    );
  if (summary.staged) add('staged', [formatStaged(summary.staged)]);
  add('new', summary.new_destinations ?? []);
  add('waiting', summary.waiting.filter((wait) => wait.wait_ms + wait.retry_ms >= 1000).map(formatWait));
  add(
    'lost',
    Object.entries(summary.lost).map(([cause, count]) => `${plural(count, 'event')} (${cause})`),
  );
  if (summary.lost_ends) add('unknown', [`how ${plural(summary.lost_ends, 'call')} ended (event ring full)`]);
  for (const [label, text] of formatLimits(summary.limits)) add(label, [text]);
  const fate = context.leftover === 'kill' ? 'killed' : 'goes on, unguarded';
  add(
    'left',
    summary.leftover.map((left) => {
      const label = processLabel({ ...left, start: null, uid: null, exe: null });
      const argv = left.argv === null ? '' : `: ${left.argv.map(shellQuote).join(' ')}`;
      return `${label} ${fate}${argv}`;
    }),
  );
  add('left alone', (summary.attached?.established ?? []).map(formatEstablished));
  add('report', context.report === null ? [] : [context.report]);
  if (summary.policy === null && summary.mode === 'audit') add('next', [formatNext(context)]);
  return lines;
}

function formatEnd(summary: RunSummary): string {
  const parts = [
    `${summary.attached ? 'attach' : 'run'} ${summary.run}`,
    `${plural(summary.calls, 'call')} to ${plural(summary.destinations, 'destination')}`,
    summary.mode === 'unguarded' ? 'unguarded' : `${summary.denials} denied`,
  ];
  if (summary.would_deny > 0) parts.push(`${summary.would_deny} would be denied`);
  const end = summary.attached ? ENDED[summary.attached.ended] : formatExit(summary.exit);
  parts.push(end, formatDuration(summary.duration_ms));
  return `acyclic: ${parts.join(' · ')}`;
}

const ENDED: Readonly<Record<AttachedCgroup['ended'], string>> = {
  asked: 'ended',
  time: 'its time is over',
  gone: 'its cgroup is gone',
  lost: 'the guard was lost',
};

function formatExit({ command, acyclic }: RunSummary['exit']): string {
  if (command === null) return `exit ${acyclic}, command not started`;
  return command === acyclic ? `exit ${acyclic}` : `exit ${acyclic}, command ${command}`;
}

function formatTotal({ view, count }: FoldTotal): string {
  if (view === null) return `${plural(count, 'call')} to other destinations`;
  const program = processLabel(view.event.process).replace(/\[\d+\]$/, '');
  return `${program} → ${formatTarget(view.event)}${count > 1 ? ` ×${count}` : ''}`;
}

function formatStaged({ policy, differs, denied, allowed }: StagedTotals): string {
  if (differs === 0) return `policy ${policy} would decide every call alike`;
  const parts = [`${denied} more denied`, `${allowed} more allowed`];
  return `policy ${policy} would decide ${plural(differs, 'call')} differently: ${parts.join(', ')}`;
}

function formatWait({
  destination,
  outcome,
  attempts,
  wait_ms,
  retry_ms,
}: RunSummary['waiting'][number]): string {
  const waited = `${formatDuration(wait_ms)} waiting, ${formatDuration(retry_ms)} retrying`;
  return `${destination}   ${outcome}, ${plural(attempts, 'attempt')}, ${waited}`;
}

/** Where limits told on a run: a label, and what it says. Records of earlier versions have none. */
export function formatLimits(limits: RunLimits | null | undefined): [label: string, text: string][] {
  if (!limits) return [];
  const { cpu, memory, tasks } = writtenLimits(limits);
  const by = (file: string, value: string | null) => (value === null ? '' : ` (${file} ${value})`);
  const { oom_kills: killed, tasks_refused: refused, throttled_ms: throttled } = limits;
  const lines: [string, string][] = [];
  if (killed)
    lines.push([
      'killed',
      `out of memory: ${killed} process${killed > 1 ? 'es' : ''}${by('memory.max', memory)}`,
    ]);
  if (refused) lines.push(['refused', `too many tasks: ${plural(refused, 'fork')}${by('pids.max', tasks)}`]);
  if (throttled && throttled >= 1000)
    lines.push(['slowed', `${formatDuration(throttled)} waiting for a processor${by('cpu.max', cpu)}`]);
  return lines;
}

function formatNext({ report, suggest }: SummaryContext): string {
  if (suggest !== null) return `turn what was seen into a policy: ${suggest}`;
  const seen =
    report === null ? 'run again with --report FILE to keep every call' : 'every call is in the report';
  return `nothing was denied, since there is no policy; ${seen}, and see docs/policy.md to write one`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `340 ms`, `4.2 s`, `2 min 5 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
}
