import { Command } from 'commander';
import type { Entry } from '../daemon/answers.ts';
import { Client, socketPath } from '../daemon/client.ts';
import type { CreateEntryBody } from '../daemon/contract.ts';
import { Failure, harmless, printResult } from './output.ts';
import { DEPLOYMENT_OPTION, JSON_OPTION } from './policy-options.ts';
import { createPrinter } from './print.ts';
import { parseDuration } from './run-options.ts';
import { SOCKET_OPTION } from './socket-option.ts';

type Verdict = Entry['verdict'];

interface Options {
  readonly for?: string;
  readonly reason?: string;
  readonly deployment?: string;
  readonly list?: true;
  readonly remove?: string;
  readonly socket?: string;
  readonly json?: true;
}

const LONGEST_DAYS = 366;
const DAY_S = 86_400;

const MEANING: Readonly<Record<Verdict, string>> = {
  allow: `It stands above every rule of the policy, above what is circular too, and below live denials.`,
  deny: `It stands above everything else, live entries that allow too.`,
};

function examplesOf(verdict: Verdict): string {
  return `
A live entry takes effect at once, for runs in progress too, and lapses by itself. ${MEANING[verdict]}
It needs the daemon, and root or a role of the policy; it is in the audit trail.
DEST is github.com, *.github.com:443/tcp, 10.0.0.0/8:3306, [2001:db8::1]:443 or service:mirror.
Exit status: 0 done, 2 error.

Examples:
  sudo acyclic ${verdict} github.com:443/tcp --for 2h --reason 'OPS-123: mirror is down'
  sudo acyclic ${verdict} service:mirror --for 30m --reason OPS-123 -d mysql
  acyclic ${verdict} --list
  sudo acyclic ${verdict} --remove github.com:443/tcp       before its time; an id does as well`;
}

/** `acyclic allow`: live entries that allow. */
export function allowCommand(): Command {
  return liveCommand('allow', 'allow a destination for a while, whatever the policy says');
}

/** `acyclic deny`: live entries that deny. */
export function denyCommand(): Command {
  return liveCommand('deny', 'deny a destination for a while, whatever the policy says');
}

function liveCommand(verdict: Verdict, description: string): Command {
  return new Command(verdict)
    .description(description)
    .argument('[dest]', 'a destination')
    .option('--for <time>', 'how long it holds: 30m, 2h, 7d')
    .option('--reason <text>', 'why; it is shown with what it decides')
    .addOption(DEPLOYMENT_OPTION)
    .option('--list', 'those in force')
    .option('--remove <entry>', 'take one back before its time, by its destination or its id')
    .addOption(SOCKET_OPTION)
    .addOption(JSON_OPTION)
    .addHelpText('after', examplesOf(verdict))
    .action((dest: string | undefined, options: Options) => act(verdict, dest, options));
}

async function act(verdict: Verdict, dest: string | undefined, options: Options): Promise<void> {
  const ways = [dest, options.list, options.remove].filter((way) => way !== undefined);
  if (ways.length === 0)
    throw new Failure('usage', `${verdict} what?`, `give a destination, or --list, or --remove`);
  if (ways.length > 1)
    throw new Failure('contradiction', 'a destination, --list and --remove are for one at a time');
  const client = new Client(socketPath(options.socket ?? null));
  if (dest !== undefined) await create(client, bodyOf(verdict, dest, options), options);
  else if (options.remove !== undefined) await remove(client, verdict, options.remove, options);
  else await list(client, verdict, options);
}

function bodyOf(verdict: Verdict, destination: string, options: Options): CreateEntryBody {
  const { for: given, reason, deployment } = options;
  const example = `acyclic ${verdict} ${destination} --for 2h --reason OPS-123`;
  if (given === undefined) throw new Failure('usage', 'a live entry needs --for', `as in: ${example}`);
  if (reason === undefined) throw new Failure('usage', 'a live entry needs --reason', `as in: ${example}`);
  const ms = parseDuration(given);
  const wrong = (remedy: string) =>
    new Failure('bad-value', `--for cannot be \`${harmless(given)}\``, `give it ${remedy}`);
  if (ms === null) throw wrong('a time, such as 30m, 2h or 7d');
  if (ms < 1000) throw wrong('a second at least');
  if (ms > LONGEST_DAYS * DAY_S * 1000) throw wrong(`at most ${LONGEST_DAYS} days`);
  const seconds = Math.ceil(ms / 1000);
  return { verdict, destination, seconds, reason, ...(deployment === undefined ? {} : { deployment }) };
}

async function create(client: Client, body: CreateEntryBody, { json }: Options): Promise<void> {
  const entry = await client.request<Entry>('POST', '/v1/entries', { body });
  if (json) return printResult(JSON.stringify({ v: 1, ...entry }));
  const { formatMinute, formatSpan } = await import('./live-text.ts');
  const { verdict, destination, deployment, until, id } = entry;
  const said = verdict === 'allow' ? 'allowed' : 'denied';
  const whose = deployment === null ? '' : ` for deployment ${deployment}`;
  const span = formatSpan(body.seconds * 1000);
  printResult(
    [
      `${said} ${destination}${whose} for ${span}, until ${formatMinute(until)}`,
      `take it back with: acyclic ${verdict} --remove ${id}`,
    ]
      .map(harmless)
      .join('\n'),
  );
}

async function entriesOf(client: Client, verdict: Verdict): Promise<Entry[]> {
  const entries = await client.request<readonly Entry[]>('GET', '/v1/entries');
  return entries.filter((entry) => entry.verdict === verdict);
}

async function list(client: Client, verdict: Verdict, { json, deployment }: Options): Promise<void> {
  const all = await entriesOf(client, verdict);
  const entries =
    deployment === undefined
      ? all
      : all.filter((entry) => entry.deployment === null || entry.deployment === deployment);
  if (json) return printResult(JSON.stringify({ v: 1, entries }));
  if (entries.length === 0)
    return printResult(`no live entry ${verdict === 'allow' ? 'allows' : 'denies'} anything`);
  const { formatEntries } = await import('./live-text.ts');
  const printer = createPrinter();
  printer.print(formatEntries(entries, new Date(), printer));
}

async function remove(client: Client, verdict: Verdict, which: string, { json }: Options): Promise<void> {
  const entries = await entriesOf(client, verdict);
  const named = entries.filter(({ destination }) => destination === which);
  const found = named.length > 0 ? named : entries.filter(({ id }) => id.startsWith(which.toUpperCase()));
  const [entry, ...others] = found;
  const see = `see: acyclic ${verdict} --list`;
  if (!entry) throw new Failure('bad-value', `no live entry to ${verdict} is \`${harmless(which)}\``, see);
  if (others.length > 0)
    throw new Failure(
      'bad-value',
      `${found.length} live entries are \`${harmless(which)}\``,
      `give the id; ${see}`,
    );
  await client.request('DELETE', `/v1/entries/${encodeURIComponent(entry.id)}`);
  if (json) return printResult(JSON.stringify({ v: 1, removed: entry }));
  printResult(harmless(`taken back: ${verdict} ${entry.destination}, which had until ${entry.until}`));
}
