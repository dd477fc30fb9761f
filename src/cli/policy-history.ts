import { Command } from 'commander';
import type { PolicyHistory, PolicyVersion } from '../daemon/answers.ts';
import { Client, socketPath } from '../daemon/client.ts';
import { formatAsker, formatMinute } from './live-text.ts';
import { harmless, printResult } from './output.ts';
import { JSON_OPTION } from './policy-options.ts';
import { createPrinter } from './print.ts';
import { SOCKET_OPTION } from './socket-option.ts';
import { Table } from './table.ts';

const EXAMPLES = `
BY: start (as the daemon found it), apply, reload, files (the policy directory was changed), rollback.
It needs the daemon. Exit status: 0 told, 2 error.

Examples:
  acyclic policy history
  acyclic policy history --changes
  acyclic policy history --json | jq '.versions[] | {id, who, changes}'`;

interface Options {
  readonly changes?: true;
  readonly socket?: string;
  readonly json?: true;
}

/** `acyclic policy history`: the policies that were in force, newest first. */
export function policyHistoryCommand(): Command {
  return new Command('history')
    .description('the policies that were in force in the daemon, newest first')
    .option('--changes', 'with what each meant otherwise than the one before')
    .addOption(SOCKET_OPTION)
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async ({ changes, socket, json }: Options) => {
      const client = new Client(socketPath(socket ?? null));
      const { versions } = await client.request<PolicyHistory>('GET', '/v1/policy/history');
      const printer = createPrinter();
      if (json) printResult(JSON.stringify({ v: 1, versions }));
      else if (versions.length === 0) printResult('no policy was in force');
      else if (changes) printResult(versions.flatMap(formatVersion).map(harmless).join('\n'));
      else printer.print(tableOf(printer).lines(versions.map(rowOf)));
    });
}

function tableOf(printer: Pick<ReturnType<typeof createPrinter>, 'width' | 'colour'>): Table {
  return new Table(
    [
      { title: 'ID' },
      { title: 'APPLIED' },
      { title: '' },
      { title: 'BY' },
      { title: 'WHO', least: 6 },
      { title: 'REASON', least: 10 },
    ],
    printer,
  );
}

function rowOf({ id, applied, inForce, by, who, reason }: PolicyVersion) {
  const asker = who === null ? '–' : formatAsker(who);
  return { cells: [id, formatMinute(applied), inForce ? 'in force' : '', by, asker, reason ?? '–'] };
}

function formatVersion(version: PolicyVersion): string[] {
  const head = rowOf(version).cells.filter((cell) => cell !== '' && cell !== '–');
  return [head.join(' · '), ...version.changes.map((line) => `  ${line}`)];
}
