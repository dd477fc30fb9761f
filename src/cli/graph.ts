import { Command, Option } from 'commander';
import { graphExportCommand } from './graph-export.ts';
import { graphImportCommand } from './graph-import.ts';
import { graphMergeCommand } from './graph-merge.ts';
import { FORMATS, type GraphOptions, OBSERVED_OPTION } from './graph-options.ts';
import { createOutput, Failure } from './output.ts';
import {
  DEPLOYMENT_OPTION,
  JSON_OPTION,
  POLICY_OPTION,
  REPORT_OPTION,
  SINCE_OPTION,
  STATE_OPTION,
} from './policy-options.ts';

const EXAMPLES = `
What is declared is in the policy; what was seen comes from the audit trail or reports of runs (--report), from edges
merged from other hosts (acyclic graph merge), and from files of such edges (--observed).
Exit status: 0 no cycle stands, 1 one does (with --cycles: there is one; with --restore-order: a loop forbids it;
with --learn: there is something to declare), 2 error. None of it needs root.

Examples:
  acyclic graph -p acyclic.yaml                         deployments, what they need, and what is denied to them
  acyclic graph --cycles -d mysql                       cycles through a deployment, and where to cut them
  acyclic graph --why migrations mysql                  by which path one needs the other
  acyclic graph --impact mirror                         which deployments could not run without it
  acyclic graph --restore-order                         what to bring back first, from nothing
  acyclic graph --report calls.jsonl --learn            what was seen and nobody declared, as a diff
  acyclic graph --format dot | dot -Tsvg > graph.svg`;

/** `acyclic graph`: services, what needs what, and the cycles. */
export function graphCommand(): Command {
  const command = new Command('graph')
    .description('services, what needs what, and cycles')
    .enablePositionalOptions()
    .addOption(POLICY_OPTION)
    .addOption(DEPLOYMENT_OPTION)
    .addOption(new Option('--format <how>', 'how to print').choices(FORMATS).default('text'))
    .addOption(JSON_OPTION)
    .option('--cycles', 'the cycles through each deployment, the shortest first')
    .addOption(new Option('--limit <n>', 'list so many cycles').argParser(readLimit).default(100))
    .option('--why <names...>', 'FROM TO: the path by which one needs the other')
    .option('--impact <service>', 'which deployments could not run if it were down')
    .option('--restore-order', 'the order to bring everything back from nothing')
    .option('--learn', 'what was seen and nobody declared, as a diff of the services')
    .option('--from-run <id>', 'what this run called')
    .addOption(REPORT_OPTION)
    .addOption(OBSERVED_OPTION)
    .addOption(SINCE_OPTION)
    .addOption(STATE_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (options: GraphOptions) => {
      const asked = [options.cycles, options.why, options.impact, options.restoreOrder, options.learn];
      if (asked.filter((one) => one !== undefined).length > 1)
        throw new Failure(
          'contradiction',
          '--cycles, --why, --impact, --restore-order and --learn are different questions',
          'ask one at a time',
        );
      if (options.why && options.why.length !== 2)
        throw new Failure('usage', '--why takes two names', 'such as: --why migrations mysql');
      const { showGraph } = await import('./graph-show.ts');
      const json = options.json === true || options.format === 'json';
      await showGraph(
        { ...options, format: json ? 'json' : options.format },
        createOutput({ quiet: false, json }),
      );
    });
  for (const create of [graphImportCommand, graphExportCommand, graphMergeCommand])
    command.addCommand(create());
  return command.hook('preSubcommand', handDown);
}

/** Options may be given before the name of a subcommand, too: what it knows is its own, and the rest is a mistake. */
function handDown(command: Command, subcommand: Command): void {
  for (const option of command.options) {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== 'cli') continue;
    if (!subcommand.options.some((own) => own.long === option.long && own.required === option.required))
      throw new Failure(
        'usage',
        `${option.long} is no option of 'acyclic graph ${subcommand.name()}'`,
        `try: acyclic graph ${subcommand.name()} --help`,
      );
    subcommand.setOptionValueWithSource(name, command.getOptionValue(name), 'cli');
  }
}

function readLimit(text: string): number {
  const limit = /^[1-9]\d{0,5}$/.test(text) ? Number(text) : null;
  if (limit !== null) return limit;
  throw new Failure('bad-value', `--limit cannot be \`${text}\``, 'give it a number from 1 to 999999');
}
