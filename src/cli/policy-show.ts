import { Command } from 'commander';
import { harmless, printResult } from './output.ts';
import { DEPLOYMENT_OPTION, JSON_OPTION, POLICY_OPTION } from './policy-options.ts';

const EXAMPLES = `
Exit status: 0 shown, 2 there is no such policy or deployment.

Examples:
  acyclic policy show -p acyclic.yaml -d mysql
  acyclic policy show --json | jq '.tiers[] | select(.name == "circular")'`;

interface Options {
  readonly policy?: string;
  readonly deployment?: string;
  readonly json?: true;
}

/** `acyclic policy show`: the policy in effect for a deployment, its tiers in order, each rule with its place. */
export function policyShowCommand(): Command {
  return new Command('show')
    .description('the policy in effect for a deployment')
    .addOption(POLICY_OPTION)
    .addOption(DEPLOYMENT_OPTION)
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (options: Options) => {
      const [{ compileHere, requirePolicy }, { formatEffective, effectiveAsJson }] = await Promise.all([
        import('./policy-loading.ts'),
        import('./show-text.ts'),
      ]);
      const loaded = requirePolicy(options.policy);
      const policy = compileHere(loaded.policy, options.deployment ?? null);
      if (options.json) printResult(JSON.stringify(effectiveAsJson(loaded, policy)));
      else printResult(formatEffective(loaded, policy).map(harmless).join('\n'));
    });
}
