import { Command } from 'commander';
import type { TrailReader } from '../audit/reader.ts';
import { findRun, listRuns, type RunRecord } from '../audit/runs.ts';
import { countDestinations } from '../audit/stats.ts';
import { formatDestination } from '../model/target.ts';
import { addPlaceOptions, type PlaceOptions, readCount, withTrail } from './audit-options.ts';
import { shellQuote } from './message.ts';
import { harmless } from './output.ts';
import { createPrinter } from './print.ts';
import { append, readLabels } from './run-options.ts';
import { detail, formatRun, formatState, humanTime } from './run-text.ts';
import { formatDuration, formatLimits } from './summary.ts';
import { type Column, Table } from './table.ts';
import { readWhen } from './when.ts';

/** Destinations shown of one run. */
const MOST_DESTINATIONS = 10;

const EXAMPLES = `
Exit status: 0 the question was answered, if only with nothing; 2 it could not be.

Examples:
  sudo acyclic runs --since 7d --deployment mysql
  sudo acyclic runs 01KAR2RZ
  sudo acyclic runs --json | jq 'select(.denials > 0) | .run'`;

interface RunsOptions extends PlaceOptions {
  readonly deployment?: string;
  readonly label?: string[];
  readonly since?: string;
  readonly until?: string;
  readonly limit?: string;
}

/** `acyclic runs`: runs past and present, or one of them. */
export function runsCommand(): Command {
  const command = new Command('runs')
    .description('runs, past and present')
    .argument('[id]', 'one run; the beginning of its id is enough if no other has it')
    .option('-d, --deployment <name>', 'of this deployment')
    .option('--label <k=v>', 'with this label (repeatable)', append)
    .option('--since <time>', 'begun from then on: 7d, 2h, today, 2026-11-23, "2026-11-23 03:20" (UTC)')
    .option('--until <time>', 'begun before then')
    .option('-n, --limit <number>', 'the newest so many only');
  return addPlaceOptions(command, 'JSON Lines; of one run, one object')
    .addHelpText('after', EXAMPLES)
    .action((id: string | undefined, options: RunsOptions) =>
      withTrail(options, (reader) => {
        const lines = id === undefined ? tellRuns(reader, options) : tellRun(reader, id, options);
        createPrinter().print(lines);
      }),
    );
}

/** Below this, a terminal has no room for the year. */
const WIDE = 100;

function tellRuns(reader: TrailReader, options: RunsOptions): string[] {
  const { deployment, label, since, until, limit, json } = options;
  const runs = listRuns(
    reader,
    {
      deployment,
      labels: label === undefined ? undefined : readLabels(label),
      since: since === undefined ? undefined : readWhen('--since', since),
      until: until === undefined ? undefined : readWhen('--until', until),
    },
    readCount('--limit', limit),
  );
  if (json) return runs.map((run) => JSON.stringify(run));
  const printer = createPrinter();
  const wide = printer.width === null || printer.width >= WIDE;
  const rows = runs.map((run) => ({
    cells: cellsOf(run, wide),
    style: run.denials > 0 ? ('red' as const) : undefined,
  }));
  return new Table(columnsOf(wide), printer).lines(rows);
}

function columnsOf(wide: boolean): Column[] {
  return [
    { title: 'RUN' },
    { title: wide ? 'BEGUN (UTC)' : 'BEGUN' },
    { title: 'DEPLOYMENT', least: 6 },
    { title: 'CALLS', right: true },
    { title: 'DENIED', right: true },
    { title: 'STATE' },
    { title: 'COMMAND', least: 6 },
  ];
}

function cellsOf(run: RunRecord, wide: boolean): string[] {
  const begun = `${run.started.slice(wide ? 0 : 5, 10)} ${run.started.slice(11, 16)}`;
  const counts = [run.calls, run.denials].map(String);
  const command = run.command?.map(shellQuote).join(' ') ?? '-';
  return [run.run, begun, run.deployment ?? '-', ...counts, formatState(run), command];
}

function tellRun(reader: TrailReader, id: string, { json }: RunsOptions): string[] {
  const run = findRun(reader, id);
  if (json) return [JSON.stringify(run)];
  const { summary } = run;
  const lines = formatRun(run).slice(1);
  lines.unshift(`run ${run.run}`, detail('host', run.host));
  if (summary) {
    lines.push(detail('ended', `${humanTime(summary.time)}, after ${formatDuration(summary.duration_ms)}`));
    for (const path of summary.cycles) lines.push(detail('cycle', path.join(' → ')));
    for (const [cause, count] of Object.entries(summary.lost))
      lines.push(detail('lost', `${count} (${cause})`));
    for (const [label, text] of formatLimits(summary.limits)) lines.push(detail(label, text));
    for (const left of summary.leftover) lines.push(detail('left', `${left.comm ?? 'process'}[${left.pid}]`));
  }
  lines.push(detail('calls', `${run.calls}, ${run.denials} denied, ${run.would_deny} would be denied`));
  const counts = countDestinations(reader, { run: run.run }, formatDestination);
  for (const { destination, calls, denied } of counts.slice(0, MOST_DESTINATIONS))
    lines.push(detail('', `${destination} ×${calls}${denied > 0 ? `, ${denied} denied` : ''}`));
  if (counts.length > MOST_DESTINATIONS)
    lines.push(detail('', `and ${counts.length - MOST_DESTINATIONS} more destinations`));
  lines.push(detail('more', `acyclic audit list --run ${run.run}`));
  return lines.map(harmless);
}
