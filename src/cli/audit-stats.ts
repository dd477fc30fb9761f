import { Command, Option } from 'commander';
import type { TrailReader } from '../audit/reader.ts';
import { type Count, countDeployments, countDestinations, countOver, countPrograms } from '../audit/stats.ts';
import { formatDestination } from '../model/target.ts';
import {
  addFilterOptions,
  addPlaceOptions,
  type FilterOptions,
  type PlaceOptions,
  readCount,
  readFilter,
  withTrail,
} from './audit-options.ts';
import { Failure } from './output.ts';
import { createPrinter } from './print.ts';
import { formatDuration } from './summary.ts';
import { type Column, Table } from './table.ts';

const EXAMPLES = `
WAITED is the time inside calls that were denied or failed, RETRIED from the first such call of a run to its last.

Examples:
  sudo acyclic audit stats                                     by destination, most called first
  sudo acyclic audit stats --verdict deny --since 7d -n 10     what was denied most
  sudo acyclic audit stats --by program --deployment mysql
  sudo acyclic audit stats --over hour --since today`;

interface StatsOptions extends FilterOptions, PlaceOptions {
  readonly by?: 'destination' | 'program' | 'deployment';
  readonly over?: 'hour' | 'day';
  readonly limit?: string;
}

/** One line of the answer: what is counted, and what it comes to. */
type Line = Count & Readonly<Record<string, string | number | null>>;

/** `acyclic audit stats`. */
export function statsCommand(): Command {
  const command = new Command('stats').description('calls counted');
  addPlaceOptions(addFilterOptions(command), 'JSON Lines')
    .addOption(
      new Option('--by <what>', 'for each of these (default: destination)').choices([
        'destination',
        'program',
        'deployment',
      ]),
    )
    .addOption(new Option('--over <time>', 'for each hour or day, instead').choices(['hour', 'day']))
    .option('-n, --limit <number>', 'the first so many only')
    .addHelpText('after', EXAMPLES);
  return command.action((options: StatsOptions) =>
    withTrail(options, (reader) => tellStats(reader, options)),
  );
}

async function tellStats(reader: TrailReader, options: StatsOptions): Promise<void> {
  const { by = 'destination', over, json } = options;
  if (over && options.by)
    throw new Failure('contradiction', '--by and --over contradict each other', 'leave one out');
  const counts = await count(reader, options);
  const lines = counts.slice(0, readCount('--limit', options.limit));
  const printer = createPrinter();
  if (json) {
    printer.print(lines.map((line) => JSON.stringify(line)));
    return;
  }
  const key = over ? 'time' : by;
  const table = new Table([{ title: (over ?? by).toUpperCase(), least: 16 }, ...COLUMNS], printer);
  const rows = lines.map((line) => ({ cells: [nameOf(line[key] ?? null, over), ...cellsOf(line)] }));
  printer.print(table.lines(rows));
}

async function count(reader: TrailReader, options: StatsOptions): Promise<Line[]> {
  const filter = await readFilter(options, reader);
  if (options.over) return countOver(reader, filter, options.over) as unknown as Line[];
  const counts =
    options.by === 'program'
      ? countPrograms(reader, filter)
      : options.by === 'deployment'
        ? countDeployments(reader, filter)
        : countDestinations(reader, filter, formatDestination);
  return counts as unknown as Line[];
}

function nameOf(value: string | number | null, over: StatsOptions['over']): string {
  if (value === null) return '-';
  if (over === undefined) return String(value);
  return String(value)
    .slice(0, over === 'day' ? 10 : 16)
    .replace('T', ' ');
}

const COLUMNS: readonly Column[] = [
  { title: 'CALLS', right: true },
  { title: 'DENIED', right: true },
  { title: 'WOULD', right: true },
  { title: 'FAILED', right: true },
  { title: 'RUNS', right: true },
  { title: 'WAITED', right: true },
  { title: 'RETRIED', right: true },
];

function cellsOf({ calls, denied, would_deny, failed, runs, wait_ms, retry_ms }: Count): string[] {
  const counted = [calls, denied, would_deny, failed, runs].map(String);
  return [...counted, ...[wait_ms, retry_ms].map((ms) => (ms === 0 ? '-' : formatDuration(ms)))];
}
