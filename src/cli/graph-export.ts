import { Command } from 'commander';
import type { SeenOptions } from './graph-options.ts';
import { createOutput, Failure, printResult } from './output.ts';
import { POLICY_OPTION, REPORT_OPTION, SINCE_OPTION, STATE_OPTION } from './policy-options.ts';

const EXAMPLES = `
Prints one edge a line, as JSON: who called which service, on which host, how often, first and last. Edges that were
merged from other hosts are among them, with their host and age. A call belongs to the service the policy has for it
now; without a policy, to the one it had when it was recorded.
Exit status: 0 exported, 2 it cannot be.

Example:
  acyclic graph export --observed --report calls.jsonl > observed.jsonl`;

interface Options extends Omit<SeenOptions, 'observed' | 'fromRun'> {
  readonly observed?: true;
  readonly policy?: string;
}

/** `acyclic graph export --observed`: what was seen, for another host to merge. */
export function graphExportCommand(): Command {
  return new Command('export')
    .description('print what was seen, for another host')
    .option('--observed', 'the observed edges')
    .addOption(REPORT_OPTION)
    .addOption(POLICY_OPTION)
    .addOption(SINCE_OPTION)
    .addOption(STATE_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async ({ observed, policy, ...options }: Options) => {
      if (!observed)
        throw new Failure('usage', 'nothing to export was named', 'try: acyclic graph export --observed');
      const [{ seenEdges }, { loadInstalledPolicy, loadPolicy }, { formatEdge }] = await Promise.all([
        import('./graph-loading.ts'),
        import('../guard/policy-files.ts'),
        import('../graph/observed.ts'),
      ]);
      const loaded = policy === undefined ? loadInstalledPolicy() : loadPolicy(policy);
      const output = createOutput({ quiet: false, json: false });
      const edges = await seenEdges(loaded?.policy ?? null, options, output);
      printResult(edges.map((edge) => `${formatEdge(edge)}\n`).join(''));
      if (edges.length === 0) output.say('warning', ['acyclic: no call to a service was found']);
    });
}
