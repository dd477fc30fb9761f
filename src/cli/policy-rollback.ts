import { Command } from 'commander';
import { Failure, harmless } from './output.ts';
import { type ApplyOptions, change } from './policy-apply.ts';
import { JSON_OPTION } from './policy-options.ts';
import { SOCKET_OPTION } from './socket-option.ts';

const EXAMPLES = `
Rolling back twice is back where you were. It needs the daemon, and root or the role \`apply\` of the policy.
Exit status: 0 it is in force, 2 it is not.

Examples:
  sudo acyclic policy rollback --reason 'OPS-124: too strict'
  sudo acyclic policy rollback 3f9c2a1`;

/** `acyclic policy rollback`: puts an earlier policy in force again. */
export function policyRollbackCommand(): Command {
  return new Command('rollback')
    .description('put an earlier policy in force again')
    .argument('[id]', 'as policy history has it, or its beginning; default: the one before')
    .option('--reason <text>', 'why; it is kept in the history')
    .addOption(SOCKET_OPTION)
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (id: string | undefined, options: ApplyOptions) => {
      if (id !== undefined && !/^[0-9a-f]{4,64}$/.test(id))
        throw new Failure(
          'bad-value',
          `\`${harmless(id)}\` is not the id of a policy`,
          'give at least four digits of one: acyclic policy history',
        );
      await change('/v1/policy/rollback', id === undefined ? {} : { to: id }, options);
    });
}
