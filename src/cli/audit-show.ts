import { Command } from 'commander';
import { AuditFailure } from '../audit/failure.ts';
import type { TrailReader } from '../audit/reader.ts';
import { type RunRecord, runOf } from '../audit/runs.ts';
import type { AuditEvent, EventChange } from '../model/event.ts';
import type { ProcessImage } from '../model/process.ts';
import type { RunSummary } from '../model/summary.ts';
import { formatTarget } from '../model/target.ts';
import { addPlaceOptions, type PlaceOptions, withTrail } from './audit-options.ts';
import { formatAsker } from './live-text.ts';
import { formatDependency, processLabel, shellQuote } from './message.ts';
import { harmless } from './output.ts';
import { createPrinter } from './print.ts';
import { detail, formatRun, humanTime } from './run-text.ts';

const EXAMPLES = `
With --json it is the event as docs/events.md has it, and its run as \`run_record\`: null where it is of none, as a change
of policy.

Examples:
  sudo acyclic audit show 01KAR2S0RW2C6P6F9ZJ5RAW8QE
  sudo acyclic audit show 01KAR2S0RW --json | jq .process.ancestry`;

/** `acyclic audit show`. */
export function showCommand(): Command {
  const command = new Command('show')
    .description('everything about one event')
    .argument('<id>', 'its id; the beginning is enough if no other has it');
  return addPlaceOptions(command, 'one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((id: string, options: PlaceOptions) =>
      withTrail(options, (reader) => {
        const event = findEvent(reader, id);
        const run = runOf(reader, event.run);
        createPrinter().print(
          options.json
            ? [JSON.stringify({ ...event, run_record: run })]
            : formatEvent(event, run).map(harmless),
        );
      }),
    );
}

function findEvent(reader: TrailReader, id: string): AuditEvent | RunSummary {
  try {
    return reader.event(id);
  } catch (error) {
    if (error instanceof AuditFailure && error.code === 'no-record' && isRun(reader, id))
      throw new AuditFailure('no-record', `\`${id}\` is a run, not an event`, `try: acyclic runs ${id}`);
    throw error;
  }
}

function isRun(reader: TrailReader, id: string): boolean {
  try {
    return reader.uniqueId('run', id) !== '';
  } catch {
    return false;
  }
}

function formatEvent(event: AuditEvent | RunSummary, run: RunRecord | null): string[] {
  const head = [`event ${event.id}`, detail('time', `${humanTime(event.time)} on ${event.host}`)];
  const ofRun = run === null ? [] : formatRun(run);
  if ('calls' in event) return [...head, detail('kind', 'the summary of its run'), ...ofRun];
  if (event.change) return [...head, ...formatChange(event, event.change)];
  return [...head, ...formatCall(event), ...formatProcesses(event), ...ofRun];
}

/** Who changed what, and why, and what it means. */
function formatChange({ process, policy, deployment }: AuditEvent, change: EventChange): string[] {
  const { what, by, reason, before, changes } = change;
  const was = before === policy ? '' : `, before it was ${before ?? 'none'}`;
  return [
    detail('kind', `policy: ${what}`),
    detail('by', by === null ? 'nobody: by itself' : formatAsker({ uid: by, comm: process?.comm ?? null })),
    detail('reason', reason ?? 'none given'),
    ...(deployment === null ? [] : [detail('deployment', deployment)]),
    detail('policy', (policy ?? 'none') + was),
    ...changes.map((line, i) => detail(i === 0 ? 'changes' : '', line)),
  ];
}

function formatCall(event: AuditEvent): string[] {
  const { destination, rule, dependency, outcome, kind, verdict, count, hook, ...others } = event;
  const lines = [detail('kind', kind + (count > 1 ? `, ${count} times` : ''))];
  if (destination) {
    const { address, names, service } = destination;
    lines.push(detail('to', formatTarget(event)));
    if (address !== null && names.length > 0) lines.push(detail('address', address));
    if (names.length > 1) lines.push(detail('names', names.join(', ')));
    if (service !== null) lines.push(detail('service', service));
  }
  if (verdict !== null) lines.push(detail('verdict', verdict));
  if (rule) {
    const { source, reason, owner } = rule;
    lines.push(detail('rule', rule.kind + (source === null ? '' : ` (${source})`)));
    if (reason !== null) lines.push(detail('reason', reason));
    if (owner !== null) lines.push(detail('owner', owner));
  }
  if (dependency) {
    const how = formatDependency(dependency);
    const cycle = dependency.path.join(' → ');
    if (cycle !== '') lines.push(detail('cycle', cycle + (how === null ? '' : `   ${how}`)));
    else if (how !== null) lines.push(detail('depends', how));
  }
  if (outcome) lines.push(detail('outcome', formatOutcome(outcome)));
  if (hook !== null) lines.push(detail('seen by', hook));
  return [...lines, ...formatAdded(others)];
}

type Added = Omit<
  AuditEvent,
  'destination' | 'rule' | 'dependency' | 'outcome' | 'kind' | 'verdict' | 'count' | 'hook'
>;

/** Fields this version has no words for are told as they are. */
function formatAdded({ v, id, time, host, run, deployment, policy, process, ...added }: Added): string[] {
  return Object.entries(added).map(([name, value]) => detail(name, JSON.stringify(value)));
}

/** Parts of the outcome this version has no words for are told as they are. */
function formatOutcome({ errno, duration_us, ...more }: NonNullable<AuditEvent['outcome']>): string {
  const { result, bytes_sent, bytes_received, ...added } = more;
  const parts = [errno ?? 'no error'];
  if (result !== null && result !== undefined) parts.push(result);
  if (duration_us !== null) parts.push(`after ${duration_us} µs`);
  if (bytes_sent !== null && bytes_sent !== undefined)
    parts.push(`${bytes_sent} bytes sent, ${bytes_received} received`);
  for (const [name, value] of Object.entries(added)) parts.push(`${name} ${JSON.stringify(value)}`);
  return parts.join(', ');
}

function formatProcesses({ process }: AuditEvent): string[] {
  if (process === null) return [detail('process', 'unknown')];
  const { ancestry, ...caller } = process;
  const last = ancestry.length - 1;
  return [caller, ...ancestry].flatMap((image, i) =>
    formatImage(i === 0 ? 'process' : i - 1 === last ? 'command' : 'parent', image),
  );
}

function formatImage(label: string, image: ProcessImage): string[] {
  const { exe, uid, start, argv } = image;
  const facts = [processLabel(image)];
  if (exe !== null) facts.push(exe);
  if (uid !== null) facts.push(`uid ${uid}`);
  if (start !== null) facts.push(`since ${humanTime(start)}`);
  const line = argv === null ? [] : [detail('', argv.map(shellQuote).join(' '))];
  return [detail(label, facts.join('   ')), ...line];
}
