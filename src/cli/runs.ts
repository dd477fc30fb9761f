import { Command } from 'commander';
import { AuditFailure } from '../audit/failure.ts';
import type { TrailReader } from '../audit/reader.ts';
import { findRun, listRuns, type RunFilter, type RunRecord, runOf } from '../audit/runs.ts';
import { countDestinations } from '../audit/stats.ts';
import { formatDestination } from '../model/target.ts';
import { addPlaceOptions, type PlaceOptions, readCount, withTrail } from './audit-options.ts';
import { shellQuote } from './message.ts';
import { createOutput, harmless } from './output.ts';
import { createPrinter } from './print.ts';
import { append, readLabels } from './run-options.ts';
import { detail, formatRun, formatState, humanTime } from './run-text.ts';
import { asItIsNow, type InProgress, isMeant, runsInProgress } from './runs-in-progress.ts';
import { SOCKET_OPTION } from './socket-option.ts';
import { formatDuration, formatLimits } from './summary.ts';
import { type Column, Table } from './table.ts';
import { readWhen } from './when.ts';

/** Destinations shown of one run. */
const MOST_DESTINATIONS = 10;

const EXAMPLES = `
Runs in progress are as the daemon has them, where there is one; members of its group, who may not read the audit trail,
see only those. With --state it is not asked.
Exit status: 0 the question was answered, if only with nothing; 2 it could not be.

Examples:
  sudo acyclic runs --since 7d --deployment mysql
  sudo acyclic runs 01KAR2RZ
  sudo acyclic runs --json | jq 'select(.denials > 0) | .run'`;

interface RunsOptions extends PlaceOptions {
  readonly socket?: string;
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
    .addOption(SOCKET_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (id: string | undefined, options: RunsOptions) => {
      const output = createOutput({ quiet: false, json: options.json ?? false });
      const { state, socket = null } = options;
      const live = state === undefined ? await runsInProgress(socket, output) : null;
      const tell = (reader: TrailReader | null) =>
        createPrinter().print(
          id === undefined ? tellRuns(reader, live, options) : tellRun(reader, live, id, options),
        );
      try {
        await withTrail(options, tell);
      } catch (error) {
        if (!live || !(error instanceof AuditFailure) || !NO_TRAIL.has(error.code)) throw error;
        if (error.code !== 'no-store') output.say('warning', [`acyclic: ${ONLY_PROGRESS}: ${error.message}`]);
        tell(null);
      }
    });
}

/** Without what is on record, what goes on is known all the same. */
const NO_TRAIL: ReadonlySet<AuditFailure['code']> = new Set(['no-store', 'store-unreadable']);
const ONLY_PROGRESS = 'only runs in progress are told of';

/** Below this, a terminal has no room for the year. */
const WIDE = 100;

function tellRuns(reader: TrailReader | null, live: InProgress | null, options: RunsOptions): string[] {
  const { deployment, label, since, until, limit, json } = options;
  const filter: RunFilter = {
    deployment,
    labels: label === undefined ? undefined : readLabels(label),
    since: since === undefined ? undefined : readWhen('--since', since),
    until: until === undefined ? undefined : readWhen('--until', until),
  };
  const runs = runsMeant(reader, live, filter, readCount('--limit', limit));
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

/** Runs by their beginning, those on record and those that are not yet; `newest` of them only, when given. */
function runsMeant(
  reader: TrailReader | null,
  live: InProgress | null,
  filter: RunFilter,
  newest?: number,
): RunRecord[] {
  const known = reader ? listRuns(reader, filter, newest).map((run) => asItIsNow(run, live)) : [];
  const others = [...(live?.values() ?? [])].filter(
    (run) => isMeant(run, filter) && !isOnRecord(reader, run.run),
  );
  if (others.length === 0) return known;
  const all = [...known, ...others].sort((a, b) => (a.started < b.started ? -1 : 1));
  return newest === undefined ? all : all.slice(Math.max(0, all.length - newest));
}

function isOnRecord(reader: TrailReader | null, id: string): boolean {
  return reader !== null && runOf(reader, id) !== null;
}

/** The one whose id begins so: on record, or in progress. */
function runMeant(reader: TrailReader | null, live: InProgress | null, prefix: string): RunRecord {
  const [one, other] = [...(live?.values() ?? [])].filter(({ run }) => run.startsWith(prefix.toUpperCase()));
  if (one && !other && !isOnRecord(reader, one.run)) return one;
  if (!reader)
    throw new AuditFailure(
      'no-record',
      `no run in progress is \`${harmless(prefix)}\``,
      'see `acyclic runs`; those that are over are in the audit trail, which is root’s to read',
    );
  return asItIsNow(findRun(reader, prefix), live);
}

function tellRun(
  reader: TrailReader | null,
  live: InProgress | null,
  id: string,
  { json }: RunsOptions,
): string[] {
  const run = runMeant(reader, live, id);
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
  const counts = reader ? countDestinations(reader, { run: run.run }, formatDestination) : [];
  for (const { destination, calls, denied } of counts.slice(0, MOST_DESTINATIONS))
    lines.push(detail('', `${destination} ×${calls}${denied > 0 ? `, ${denied} denied` : ''}`));
  if (counts.length > MOST_DESTINATIONS)
    lines.push(detail('', `and ${counts.length - MOST_DESTINATIONS} more destinations`));
  if (reader) lines.push(detail('more', `acyclic audit list --run ${run.run}`));
  return lines.map(harmless);
}
