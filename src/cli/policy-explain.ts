import { Command } from 'commander';
import { type LiveEntry, liveOf } from '../policy/live.ts';
import { Failure, harmless, printResult } from './output.ts';
import { DEPLOYMENT_OPTION, JSON_OPTION, POLICY_OPTION } from './policy-options.ts';
import { SOCKET_OPTION } from './socket-option.ts';

const EXAMPLES = `
DEST is github.com, *.github.com:443/tcp, 10.0.0.0/8:3306, [2001:db8::1]:443 or service:mirror. What it leaves
open stands for every destination no rule names more closely. Without -p it is the policy in force that is meant, with
the live entries above it, as the daemon has them; where there is no daemon, the installed one.
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
  readonly socket?: string;
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
    .addOption(SOCKET_OPTION)
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (text: string, options: Options) => {
      const [{ policyInForce }, { compileHere }, { formatParts, partsAsJson }, { explainDest }, words] =
        await Promise.all([
          import('./policy-in-force.ts'),
          import('./policy-loading.ts'),
          import('./explain-text.ts'),
          import('../policy/explain-dest.ts'),
          import('./policy-words.ts'),
        ]);
      const loaded = await policyInForce(options.policy, options.socket);
      const { source, why } = loaded;
      const policy = compileHere(loaded.policy, options.deployment ?? null, { live: loaded.live ?? [] });
      const services = words.servicesOf(loaded.policy);
      const dest = words.readDest(text, services);
      const address = options.address === undefined ? null : words.readAddressOption(options.address);
      if (address !== null && dest.kind !== 'host')
        throw new Failure('contradiction', '--address is for a host', 'leave it out, or give a host');
      const names = options.name.map(words.readNameOption);
      const parts = explainDest(policy, dest, services, { address, names });
      const live = loaded.live && liveOf(loaded.live, policy.deployment, services);
      const { deployment, mode } = policy;
      const about = { deployment, mode, policy: loaded.id, dest: text, source };
      if (options.json)
        printResult(
          JSON.stringify({ v: 1, ...about, live: live?.map(entryAsJson) ?? null, parts: partsAsJson(parts) }),
        );
      else
        printResult(
          formatParts(parts, { ...about, live, why })
            .map(harmless)
            .join('\n'),
        );
    });
}

function entryAsJson({ dest, ...entry }: LiveEntry): object {
  return { ...entry, destination: dest.text };
}
