import { Command } from 'commander';
import { policyApplyCommand } from './policy-apply.ts';
import { policyCheckCommand } from './policy-check.ts';
import { policyDiffCommand } from './policy-diff.ts';
import { policyExplainCommand } from './policy-explain.ts';
import { policyHistoryCommand } from './policy-history.ts';
import { policyInitCommand } from './policy-init.ts';
import { policyReadyCommand } from './policy-ready.ts';
import { policyReplayCommand } from './policy-replay.ts';
import { policyRollbackCommand } from './policy-rollback.ts';
import { policyShowCommand } from './policy-show.ts';
import { policySuggestCommand } from './policy-suggest.ts';

const COMMANDS = [
  policyInitCommand,
  policyCheckCommand,
  policyShowCommand,
  policyExplainCommand,
  policySuggestCommand,
  policyReplayCommand,
  policyDiffCommand,
  policyReadyCommand,
  policyApplyCommand,
  policyHistoryCommand,
  policyRollbackCommand,
];

const EXAMPLES = `
Exit status of each: 0 clean, 1 findings, 2 error. None needs root but apply and rollback, which change
what the daemon has in force, unless the policy's roles say otherwise.

Examples:
  acyclic policy init --output acyclic.yaml           a first policy, from this host's settings
  acyclic policy check -p acyclic.yaml                its mistakes
  acyclic policy explain github.com -p acyclic.yaml   what becomes of a call, and why
  acyclic policy suggest --report calls.jsonl         a policy from what a run called
  sudo acyclic policy apply acyclic.yaml              put it in force in the daemon`;

/** `acyclic policy`: what can be done with a policy besides guarding by it. */
export function policyCommand(): Command {
  const command = new Command('policy')
    .description('write, check, explain, compare and learn policies')
    .addHelpText('after', EXAMPLES);
  for (const create of COMMANDS) command.addCommand(create());
  return command;
}
