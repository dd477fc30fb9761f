import { Command } from 'commander';
import { Failure, harmless, printResult } from './output.ts';
import { DEPLOYMENT_OPTION, JSON_OPTION, POLICY_OPTION } from './policy-options.ts';

const EXAMPLES = `
DEST is github.com, *.github.com:443/tcp, 10.0.0.0/8:3306, [2001:db8::1]:443 or service:mirror. What it leaves
open stands for every destination no rule names more closely.
Exit status: 0 explained, 2 it cannot be.

Examples:
  acyclic policy explain github.com -p acyclic.yaml -d mysql
  acyclic policy explain vault.internal:8200/tcp --address 10.0.0.7      that host at that address
  acyclic policy explain 10.0.0.7:443/tcp --name a.internal --name b.internal`;

interface Options {
  readonly policy?: string;
  readonly deployment?: string;
  readonly address?: string;
  readonly name: readonly string[];
  readonly json?: true;
}

/** `acyclic policy explain`: every tier and rule considered for a destination, and why one won. */
export function policyExplainCommand(): Command {
  return new Command('explain')
    .description('what becomes of a call, and why')
    .argument('<dest>', 'a destination')
    .addOption(POLICY_OPTION)
    .addOption(DEPLOYMENT_OPTION)
    .option('--address <address>', 'where the host is; default: at any address no rule names')
    .option(
      '--name <name>',
      'a name that led there too, as an alias does (repeatable)',
      (name: string, before: string[]) => [...before, name],
      [] as string[],
    )
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (text: string, options: Options) => {
      const [{ requirePolicy, compileHere }, { formatParts, partsAsJson }, { explainDest }, words] =
        await Promise.all([
          import('./policy-loading.ts'),
          import('./explain-text.ts'),
          import('../policy/explain-dest.ts'),
          import('./policy-words.ts'),
        ]);
      const loaded = requirePolicy(options.policy);
      const policy = compileHere(loaded.policy, options.deployment ?? null);
      const services = words.servicesOf(loaded.policy);
      const dest = words.readDest(text, services);
      const address = options.address === undefined ? null : words.readAddressOption(options.address);
      if (address !== null && dest.kind !== 'host')
        throw new Failure('contradiction', '--address is for a host', 'leave it out, or give a host');
      const names = options.name.map(words.readNameOption);
      const parts = explainDest(policy, dest, services, { address, names });
      const about = { deployment: policy.deployment, mode: policy.mode, policy: loaded.id, dest: text };
      if (options.json) printResult(JSON.stringify({ v: 1, ...about, parts: partsAsJson(parts) }));
      else printResult(formatParts(parts, about).map(harmless).join('\n'));
    });
}
