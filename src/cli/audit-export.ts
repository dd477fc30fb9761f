import { Command, Option } from 'commander';
import type { AuditEvent } from '../model/event.ts';
import type { ProcessImage } from '../model/process.ts';
import type { RunSummary } from '../model/summary.ts';
import {
  addFilterOptions,
  type FilterOptions,
  type PlaceOptions,
  readFilter,
  withTrail,
} from './audit-options.ts';
import { shellQuote } from './message.ts';
import { harmless } from './output.ts';
import { createPrinter } from './print.ts';

const PORTION = 500;

const EXAMPLES = `
JSON Lines hold every field, as docs/events.md has them. CSV is for spreadsheets: it has a heading, control
characters are spelled out, and what a spreadsheet would take for a formula begins with an apostrophe.

Examples:
  sudo acyclic audit export --run 01KAR2RZ > run.jsonl
  sudo acyclic audit export --format csv --verdict deny --since 30d > denied.csv`;

interface ExportOptions extends FilterOptions, PlaceOptions {
  readonly format: 'jsonl' | 'csv';
}

type Told = AuditEvent | RunSummary;

/** `acyclic audit export`. */
export function exportCommand(): Command {
  const command = new Command('export').description('events, for other programs');
  addFilterOptions(command)
    .option('--state <dir>', 'where the audit trail is kept: $ACYCLIC_STATE, or /var/lib/acyclic')
    .addOption(
      new Option('--format <format>', 'as JSON Lines or CSV').choices(['jsonl', 'csv']).default('jsonl'),
    )
    .addOption(new Option('--json', 'as --format jsonl').hideHelp())
    .addHelpText('after', EXAMPLES);
  return command.action((options: ExportOptions) =>
    withTrail(options, async (reader) => {
      const { print } = createPrinter();
      const line = options.format === 'csv' && !options.json ? asCsv : (event: Told) => JSON.stringify(event);
      if (line === asCsv && !print([COLUMNS.map(([name]) => name).join(',')])) return;
      let portion: string[] = [];
      for (const event of reader.events(await readFilter(options, reader))) {
        if (portion.push(line(event)) < PORTION) continue;
        if (!print(portion)) return;
        portion = [];
      }
      print(portion);
    }),
  );
}

type Cell = string | number | null | undefined;

const COLUMNS: readonly (readonly [name: string, of: (event: AuditEvent) => Cell])[] = [
  ['id', ({ id }) => id],
  ['time', ({ time }) => time],
  ['host', ({ host }) => host],
  ['run', ({ run }) => run],
  ['deployment', ({ deployment }) => deployment],
  ['policy', ({ policy }) => policy],
  ['kind', ({ kind }) => kind],
  ['count', ({ count }) => count],
  ['verdict', ({ verdict }) => verdict],
  ['address', ({ destination }) => destination?.address],
  ['port', ({ destination }) => destination?.port],
  ['protocol', ({ destination }) => destination?.protocol],
  ['names', ({ destination }) => destination?.names.join(' ')],
  ['service', ({ destination }) => destination?.service],
  ['pid', ({ process }) => process?.pid],
  ['uid', ({ process }) => process?.uid],
  ['comm', ({ process }) => process?.comm],
  ['exe', ({ process }) => process?.exe],
  ['command', ({ process }) => process && commandLine(process)],
  ['ancestry', ({ process }) => process?.ancestry.map(commandLine).join(' | ')],
  ['rule_kind', ({ rule }) => rule?.kind],
  ['rule_source', ({ rule }) => rule?.source],
  ['reason', ({ rule, change }) => rule?.reason ?? change?.reason],
  ['owner', ({ rule }) => rule?.owner],
  ['dependency', ({ dependency }) => dependency?.kind],
  ['evidence', ({ dependency }) => dependency?.evidence],
  ['path', ({ dependency }) => dependency?.path.join(' > ')],
  ['errno', ({ outcome }) => outcome?.errno],
  ['duration_us', ({ outcome }) => outcome?.duration_us],
  ['hook', ({ hook }) => hook],
  ['result', ({ outcome }) => outcome?.result],
  ['bytes_sent', ({ outcome }) => outcome?.bytes_sent],
  ['bytes_received', ({ outcome }) => outcome?.bytes_received],
  ['change', ({ change }) => change?.what],
  ['changes', ({ change }) => change?.changes.map((line) => line.trim()).join(' | ')],
];

function commandLine({ argv, comm }: ProcessImage): string {
  return argv === null ? (comm ?? '') : argv.map(shellQuote).join(' ');
}

/** RFC 4180, with plain line feeds; a summary has the columns every record has. */
function asCsv(event: Told): string {
  return COLUMNS.map(([, of]) => csvCell(of(event as AuditEvent))).join(',');
}

function csvCell(value: Cell): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = harmless(value);
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
