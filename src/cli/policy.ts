import { Command } from 'commander';
import { notBuilt } from './not-built.ts';
import { policyCheckCommand } from './policy-check.ts';
import { policyDiffCommand } from './policy-diff.ts';
import { policyExplainCommand } from './policy-explain.ts';
import { policyInitCommand } from './policy-init.ts';
import { policyReadyCommand } from './policy-ready.ts';
import { policyReplayCommand } from './policy-replay.ts';
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
];

/** Named in the design and still to come. */
const NOT_BUILT = ['apply', 'history', 'rollback'] as const;

const EXAMPLES = `
Exit status of each: 0 clean, 1 findings, 2 error. None needs root.

Examples:
  acyclic policy init --output acyclic.yaml           a first policy, from this host's settings
  acyclic policy check -p acyclic.yaml                its mistakes
  acyclic policy explain github.com -p acyclic.yaml   what becomes of a call, and why
  acyclic policy suggest --report calls.jsonl         a policy from what a run called`;

/** `acyclic policy`: what can be done with a policy besides guarding by it. */
export function policyCommand(): Command {
  const command = new Command('policy')
    .description('write, check, explain, compare and learn policies')
    .addHelpText('after', EXAMPLES);
  for (const create of COMMANDS) command.addCommand(create());
  for (const name of NOT_BUILT) command.addCommand(notBuilt(name), { hidden: true });
  return command;
}
