import { Command } from 'commander';
import { createOutput, Failure, harmless, printResult } from './output.ts';
import { FINDINGS, JSON_OPTION, POLICY_OPTION, REPORT_OPTION, STATE_OPTION } from './policy-options.ts';

const EXAMPLES = `
Exit status: 0 ready, 1 not yet, 2 it cannot be told.

Examples:
  sudo acyclic policy ready -d mysql
  acyclic policy ready -p acyclic.yaml -d mysql --runs 10 --days 14 --report calls.jsonl`;

interface Options {
  readonly policy?: string;
  readonly deployment: string;
  readonly runs: string;
  readonly days: string;
  readonly report?: string[];
  readonly state?: string;
  readonly json?: true;
}

const DAY_MS = 86_400_000;

/** `acyclic policy ready`: whether a deployment can go from audit to enforce. */
export function policyReadyCommand(): Command {
  return new Command('ready')
    .description('whether a deployment can go from audit to enforce')
    .requiredOption('-d, --deployment <name>', 'as named in the policy')
    .addOption(POLICY_OPTION)
    .option('--runs <number>', 'how many runs there must have been', '5')
    .option('--days <number>', 'how many days to look back', '14')
    .addOption(REPORT_OPTION)
    .addOption(STATE_OPTION)
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (options: Options) => {
      const [
        { compileHere, requirePolicy },
        { openPast },
        { ReadinessCheck },
        { formatTarget },
        text,
        guard,
      ] = await Promise.all([
        import('./policy-loading.ts'),
        import('./past.ts'),
        import('../policy/ready.ts'),
        import('../model/target.ts'),
        import('./ready-text.ts'),
        import('../guard/delegates.ts'),
      ]);
      const { deployment, json = false } = options;
      const [wanted, days] = [whole('--runs', options.runs), whole('--days', options.days)];
      const loaded = requirePolicy(options.policy);
      const policy = compileHere(loaded.policy, deployment, { default: 'deny', mode: 'enforce' });
      const past = openPast(options, createOutput({ quiet: false, json }));
      const query = { run: null, deployment, since: new Date(Date.now() - days * DAY_MS) };
      const check = new ReadinessCheck({
        ...{ policy, target: formatTarget, wanted },
        delegateAt: guard.namedDelegateAt,
      });
      for await (const run of past.runs(query)) check.addRun(run);
      for await (const event of past.events(query)) check.add(event);
      const readiness = check.result();
      const about = { deployment, days, policy: loaded.id };
      if (json) printResult(JSON.stringify({ v: 1, ...about, ...readiness }));
      else printResult(text.formatReadiness(readiness, about).map(harmless).join('\n'));
      process.exitCode = readiness.ready ? 0 : FINDINGS;
    });
}

function whole(option: string, given: string): number {
  if (/^[1-9]\d{0,5}$/.test(given)) return Number(given);
  throw new Failure(
    'bad-value',
    `${option} cannot be \`${harmless(given)}\``,
    'give it a whole number above zero',
  );
}
