import { Command } from 'commander';
import type { EventFilter } from '../audit/filter.ts';
import type { TrailReader } from '../audit/reader.ts';
import type { AuditEvent } from '../model/event.ts';
import type { RunSummary } from '../model/summary.ts';
import { formatTarget } from '../model/target.ts';
import {
  addFilterOptions,
  addPlaceOptions,
  type FilterOptions,
  type PlaceOptions,
  readCount,
  readFilter,
  withTrail,
} from './audit-options.ts';
import { processLabel } from './message.ts';
import { createPrinter, type Printer } from './print.ts';
import { type Column, type Style, Table, type TableRow } from './table.ts';

/** Lines printed at once. */
const PORTION = 500;
/** How many are shown before what is to come, unless told otherwise. */
const BEFORE_FOLLOWING = 10;
const LOOK_EVERY_MS = 250;
/** Below this, a terminal has no room for the deployment, nor for a date in every line. */
const WIDE = 120;

const EXAMPLES = `
Events are in the order of their times, those of --follow in the order they are recorded in.

Examples:
  sudo acyclic audit list --run 01KAR2RZ
  sudo acyclic audit list --verdict deny --since 2h --host '*.github.com'
  sudo acyclic audit list --label team=db --process curl -n 20
  sudo acyclic audit list --follow --json | jq .destination`;

interface ListOptions extends FilterOptions, PlaceOptions {
  readonly follow?: true;
  readonly limit?: string;
}

type Told = AuditEvent | RunSummary;

/** `acyclic audit list`. */
export function listCommand(): Command {
  const command = new Command('list').description('events, one a line');
  addPlaceOptions(addFilterOptions(command), 'JSON Lines: events as docs/events.md has them')
    .option('-n, --limit <number>', 'the newest so many only')
    .option('-f, --follow', `go on with what is recorded from now on, after the newest ${BEFORE_FOLLOWING}`)
    .addHelpText('after', EXAMPLES);
  return command.action((options: ListOptions) => withTrail(options, (reader) => list(reader, options)));
}

async function list(reader: TrailReader, options: ListOptions): Promise<void> {
  const printer = createPrinter();
  const tell = options.json ? asJson : asTable(printer);
  const filter = await readFilter(options, reader);
  const limit = readCount('--limit', options.limit);
  if (options.follow) {
    await follow(reader, filter, limit ?? BEFORE_FOLLOWING, (events) => printer.print(tell(events)));
    return;
  }
  let portion: Told[] = [];
  for (const event of reader.events(filter, limit)) {
    if (portion.push(event) < PORTION) continue;
    if (!printer.print(tell(portion))) return;
    portion = [];
  }
  printer.print(tell(portion));
}

/** Prints the newest, and then what comes, until nobody reads it any more. */
async function follow(
  reader: TrailReader,
  filter: EventFilter,
  newest: number,
  print: (events: readonly Told[]) => boolean,
): Promise<void> {
  let { seq } = reader.following({ until: 0n }, 0);
  const before = [...reader.events(filter, newest)];
  let open = print(before);
  // What was recorded between the two questions is in the answers to both.
  const shown = new Set(before.map(({ id }) => id));
  while (open) {
    const next = reader.following(filter, seq);
    open = print(next.events.filter(({ id }) => !shown.has(id)));
    if (next.seq === seq) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    seq = next.seq;
  }
}

function asJson(events: readonly Told[]): string[] {
  return events.map((event) => JSON.stringify(event));
}

function asTable(printer: Printer): (events: readonly Told[]) => string[] {
  const wide = printer.width === null || printer.width >= WIDE;
  const columns: Column[] = [
    { title: wide ? 'TIME (UTC)' : 'TIME' },
    ...(wide ? [{ title: 'DEPLOYMENT', least: 10 }] : []),
    { title: 'VERDICT' },
    { title: 'PROCESS', least: 8 },
    { title: 'DESTINATION', least: 12 },
    { title: 'ID' },
  ];
  const table = new Table(columns, printer);
  let day = '';
  return (events) => {
    const lines: string[] = [];
    let rows: TableRow[] = [];
    const flush = () => {
      lines.push(...table.lines(rows));
      rows = [];
    };
    for (const event of events) {
      const [date = '', clock = ''] = event.time.split('T');
      if (!wide && date !== day) {
        flush();
        lines.push(`${date} (UTC)`);
        day = date;
      }
      const time = clock.slice(0, 8);
      const when = wide ? [`${date} ${time}`, event.deployment ?? '-'] : [time];
      rows.push({ cells: [...when, ...cellsOf(event), event.id], style: styleOf(event) });
    }
    flush();
    return lines;
  };
}

function cellsOf(event: Told): string[] {
  if ('calls' in event) {
    const { calls, denials, exit } = event;
    return ['summary', '', `${calls} calls, ${denials} denied, exit ${exit.acyclic}`];
  }
  const who = event.process === null ? '-' : processLabel(event.process);
  const times = event.count > 1 ? ` ×${event.count}` : '';
  const what = event.destination === null ? withoutDestination(event) : formatTarget(event) + times;
  return [event.verdict ?? event.kind, who, what];
}

function withoutDestination({ rule, change, policy }: AuditEvent): string {
  if (!change) return rule?.reason ?? '-';
  const [first] = change.changes;
  const what = change.before === policy && first !== undefined ? first : `policy ${policy ?? 'none'}`;
  return `${change.what}: ${what}${change.reason === null ? '' : `, ${change.reason}`}`;
}

function styleOf(event: Told): Style | undefined {
  if ('calls' in event) return 'dim';
  if (event.verdict === null) return 'magenta';
  return { allow: undefined, deny: 'red', 'would-deny': 'yellow' }[event.verdict] as Style | undefined;
}
