import { Command } from 'commander';
import type { AppliedPolicy } from '../daemon/answers.ts';
import { Client, socketPath } from '../daemon/client.ts';
import { harmless, printResult } from './output.ts';
import { JSON_OPTION, plural } from './policy-options.ts';
import { SOCKET_OPTION } from './socket-option.ts';

const EXAMPLES = `
The policy takes the place of the one the daemon has, whole: for runs in progress too, and in its policy directory. A
policy with a mistake changes nothing. It needs the daemon, and root or the role \`apply\` of the policy.
Exit status: 0 it is in force, 2 it is not.

Examples:
  sudo acyclic policy apply acyclic.yaml --reason OPS-123
  sudo acyclic policy apply ./policy`;

/** What applying and rolling back have in common. */
export interface ApplyOptions {
  readonly reason?: string;
  readonly socket?: string;
  readonly json?: true;
}

/** `acyclic policy apply`: puts a policy in force in the daemon. */
export function policyApplyCommand(): Command {
  return new Command('apply')
    .description('put a policy in force in the daemon')
    .argument('<path>', 'policy file or directory')
    .option('--reason <text>', 'why; it is kept in the history')
    .addOption(SOCKET_OPTION)
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, options: ApplyOptions) => {
      const { readTexts } = await import('../guard/policy-texts.ts');
      const texts = readTexts(path).map(({ name, text }) => ({ path: name, text }));
      try {
        await change('/v1/policy/apply', { files: texts }, options);
      } catch (error) {
        await complain(path);
        throw error;
      }
    });
}

/** Tells the mistakes of a policy that was refused, by the places of its files here. */
async function complain(path: string): Promise<void> {
  const { loadPolicy, readPolicy } = await import('../guard/policy-files.ts');
  const { problems } = readPolicy(path);
  // What is staged is looked for where the daemon keeps its policy, and not here.
  if (problems.some(({ severity, code }) => severity === 'error' && code !== 'bad-staged')) loadPolicy(path);
}

/** Asks the daemon for another policy, and tells what came of it. */
export async function change(route: string, body: object, options: ApplyOptions): Promise<void> {
  const { reason, socket, json } = options;
  const client = new Client(socketPath(socket ?? null));
  const applied = await client.request<AppliedPolicy>('POST', route, {
    body: reason === undefined ? body : { ...body, reason },
  });
  printResult(json ? JSON.stringify({ v: 1, ...applied }) : formatApplied(applied).map(harmless).join('\n'));
}

function formatApplied({ id, before, changed, changes, warnings, runs }: AppliedPolicy): string[] {
  const was = before === null ? 'there was none before' : `before it was ${before}`;
  const head = changed
    ? `policy ${id} is in force, ${was}; ${plural(runs, 'run')} in progress go by it`
    : `policy ${id} is in force already: nothing was changed`;
  return [head, ...warnings.map((warning) => `warning: ${warning}`), ...changes.map((line) => `  ${line}`)];
}
