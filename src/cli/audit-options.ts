import { type Command, Option } from 'commander';
import type { EventFilter } from '../audit/filter.ts';
import type { TrailReader } from '../audit/reader.ts';
import { stateDirectory } from '../audit/state-directory.ts';
import type { EventKind } from '../model/event.ts';
import type { Verdict } from '../model/verdict.ts';
import { createOutput, Failure, harmless } from './output.ts';
import { append, readLabels } from './run-options.ts';
import { readWhen } from './when.ts';

const VERDICTS: readonly Verdict[] = ['allow', 'deny', 'would-deny'];
const KINDS: readonly EventKind[] = ['connect', 'send', 'dns', 'exec-outside', 'escape', 'policy', 'summary'];

/** Options as commander leaves them. */
export interface FilterOptions {
  readonly run?: string;
  readonly deployment?: string;
  readonly label?: string[];
  readonly service?: string;
  readonly host?: string;
  readonly verdict?: Verdict;
  readonly kind?: EventKind;
  readonly process?: string;
  readonly since?: string;
  readonly until?: string;
}

export interface PlaceOptions {
  readonly state?: string;
  readonly json?: true;
}

/** Gives a command the options that say which events are meant. */
export function addFilterOptions(command: Command): Command {
  return command
    .option('--run <id>', 'of this run; the beginning of its id is enough')
    .option('-d, --deployment <name>', 'of this deployment')
    .option('--label <k=v>', 'of runs with this label (repeatable)', append)
    .option('--service <name>', 'to this service')
    .option('--host <dest>', 'to this host or address, as *.github.com, 10.0.0.0/8 or github.com:443/tcp')
    .addOption(new Option('--verdict <verdict>', 'decided so').choices(VERDICTS))
    .addOption(new Option('--kind <kind>', 'of this kind').choices(KINDS))
    .option('--process <who>', 'by this program, path of a program, or process id')
    .option('--since <time>', 'from then on: 7d, 2h, today, 2026-11-23, "2026-11-23 03:20" (UTC)')
    .option('--until <time>', 'before then');
}

/** Gives a command the options that say where the trail is, and how to tell of it. */
export function addPlaceOptions(command: Command, json: string): Command {
  return command
    .option('--state <dir>', 'where the audit trail is kept: $ACYCLIC_STATE, or /var/lib/acyclic')
    .option('--json', json);
}

/** The events that options mean. Throws Failure, and AuditFailure for a run that is not on record. */
export async function readFilter(options: FilterOptions, reader: TrailReader): Promise<EventFilter> {
  const { run, deployment, label, service, host, verdict, kind, process, since, until } = options;
  return {
    run: run === undefined ? undefined : reader.uniqueId('run', run),
    labels: label === undefined ? undefined : readLabels(label),
    destination: host === undefined ? undefined : await hostFilter(host),
    since: since === undefined ? undefined : readWhen('--since', since),
    until: until === undefined ? undefined : readWhen('--until', until),
    ...{ deployment, service, verdict, kind, process },
  };
}

async function hostFilter(host: string): Promise<EventFilter['destination']> {
  const { destinationFilter } = await import('./destination-filter.ts');
  return destinationFilter('--host', host);
}

/** A count of things, as `-n` has it; undefined is all. */
export function readCount(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text))
    throw new Failure('bad-value', `${option} cannot be \`${harmless(text)}\``, 'give it a number');
  return Number(text);
}

/** Opens the trail that options name, for `read`; and says if more is to come into it. Throws AuditFailure. */
export async function withTrail<T>(
  { state, json }: PlaceOptions,
  read: (reader: TrailReader) => T | Promise<T>,
): Promise<T> {
  const [{ TrailReader }, { tellWaiting }] = await Promise.all([
    import('../audit/reader.ts'),
    import('./tell-waiting.ts'),
  ]);
  const directory = stateDirectory(state ?? null);
  tellWaiting(directory, createOutput({ quiet: false, json: json ?? false }));
  const reader = new TrailReader(directory);
  try {
    return await read(reader);
  } finally {
    reader.close();
  }
}
