import { Command, Option } from 'commander';
import { formatProblem, type Problem } from '../policy/problem.ts';
import { Failure, printResult } from './output.ts';
import { FINDINGS, JSON_OPTION, POLICY_OPTION, plural } from './policy-options.ts';

const EXAMPLES = `
Exit status: 0 nothing found, 1 mistakes or warnings, 2 the policy cannot be read.

Examples:
  acyclic policy check -p acyclic.yaml
  acyclic policy check /etc/acyclic --format json | jq -r '.problems[].message'`;

interface Options {
  readonly policy?: string;
  readonly format: 'text' | 'json';
  readonly json?: true;
}

/** `acyclic policy check`: every mistake and doubt of a policy, each with its place, the worst first. */
export function policyCheckCommand(): Command {
  return new Command('check')
    .description('find the mistakes in a policy')
    .argument('[path]', 'policy file or directory, as with -p')
    .addOption(POLICY_OPTION)
    .addOption(new Option('--format <how>', 'how to print').choices(['text', 'json']).default('text'))
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (path: string | undefined, options: Options) => {
      if (path !== undefined && options.policy !== undefined)
        throw new Failure('contradiction', 'the policy is given twice', 'leave one out');
      const { readInstalledPolicy, readPolicy } = await import('../guard/policy-files.ts');
      const given = path ?? options.policy;
      const read = given === undefined ? readInstalledPolicy() : readPolicy(given);
      if (!read) throw new Failure('bad-value', 'there is no policy', 'give one with -p');
      const problems = [...read.problems].sort((a, b) => severity(a) - severity(b));
      const json = options.json || options.format === 'json';
      if (json) printResult(JSON.stringify({ v: 1, policy: read.id, problems, notices: read.notices }));
      else printResult([...problems.map(formatProblem), ...endOf(problems, read.notices)].join('\n'));
      process.exitCode = problems.length > 0 ? FINDINGS : 0;
    });
}

/** Errors first; the sort is stable, and keeps files and lines in order. */
function severity(problem: Problem): number {
  return problem.severity === 'error' ? 0 : 1;
}

function endOf(problems: readonly Problem[], notices: readonly string[]): string[] {
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  const counts = [plural(errors, 'mistake'), plural(problems.length - errors, 'warning')];
  return [
    ...notices.map((notice) => `note: ${notice}`),
    problems.length > 0 ? counts.join(', ') : 'nothing found',
  ];
}
