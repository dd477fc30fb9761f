import { Command } from 'commander';
import type { LearnOptions } from './learn-policy.ts';
import { createOutput, Failure } from './output.ts';
import { JSON_OPTION, POLICY_OPTION, REPORT_OPTION, SINCE_OPTION, STATE_OPTION } from './policy-options.ts';

const EXAMPLES = `
Prints a policy that allows what was seen, and nothing that was denied; where there is a policy, a diff of it.
Exit status: 0 suggested, 2 it cannot be.

Examples:
  sudo acyclic policy suggest --run 01KAR2RZ -d mysql > acyclic.yaml
  acyclic policy suggest --report calls.jsonl -d mysql > acyclic.yaml
  acyclic policy suggest --report calls.jsonl -p acyclic.yaml | patch -p0`;

/** `acyclic policy suggest`: the smallest readable policy that allows what was seen. */
export function policySuggestCommand(): Command {
  return new Command('suggest')
    .description('a policy that allows what was seen')
    .option('--run <id>', 'what this run called; the beginning of its id is enough')
    .addOption(SINCE_OPTION)
    .addOption(REPORT_OPTION)
    .addOption(STATE_OPTION)
    .addOption(POLICY_OPTION)
    .option('-d, --deployment <name>', 'the deployment it is for')
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (options: LearnOptions) => {
      if (options.run === undefined && options.since === undefined && options.report === undefined)
        throw new Failure(
          'usage',
          'there is nothing to learn from',
          'name it: --run ID, --since 7d or --report FILE',
        );
      const { learnPolicy } = await import('./learn-policy.ts');
      await learnPolicy(options, createOutput({ quiet: false, json: options.json ?? false }));
    });
}
