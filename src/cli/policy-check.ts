import { Command, Option } from 'commander';
import type { ReadPolicy } from '../guard/policy-files.ts';
import { formatProblem, type Problem } from '../policy/problem.ts';
import { worstFirst } from '../policy/worst-first.ts';
import { type Finding, formatGithub, formatSarif } from './findings.ts';
import { Failure, printResult } from './output.ts';
import { FINDINGS, JSON_OPTION, POLICY_OPTION, plural } from './policy-options.ts';

const EXAMPLES = `
Exit status: 0 nothing found, 1 mistakes or warnings, 2 the policy cannot be read.

Examples:
  acyclic policy check -p acyclic.yaml
  acyclic policy check services/ --format github       annotations, in a workflow
  acyclic policy check /etc/acyclic --format json | jq -r '.problems[].message'`;

const FORMATS = ['text', 'github', 'sarif', 'json'] as const;

interface Options {
  readonly policy?: string;
  readonly format: (typeof FORMATS)[number];
  readonly json?: true;
}

/** `acyclic policy check`: every mistake and doubt of a policy, each with its place, the worst first. */
export function policyCheckCommand(): Command {
  return new Command('check')
    .description('find the mistakes in a policy')
    .argument('[path]', 'policy file or directory, as with -p')
    .addOption(POLICY_OPTION)
    .addOption(new Option('--format <how>', 'how to print').choices(FORMATS).default('text'))
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (path: string | undefined, options: Options) => {
      if (path !== undefined && options.policy !== undefined)
        throw new Failure('contradiction', 'the policy is given twice', 'leave one out');
      const { readInstalledPolicy, readPolicy } = await import('../guard/policy-files.ts');
      const given = path ?? options.policy;
      const now = new Date();
      const read = given === undefined ? readInstalledPolicy(now) : readPolicy(given, now);
      if (!read) throw new Failure('bad-value', 'there is no policy', 'give one with -p');
      const problems = worstFirst(read.problems);
      printResult(print({ ...read, problems }, options.json ? 'json' : options.format));
      process.exitCode = problems.length > 0 ? FINDINGS : 0;
    });
}

function print({ id, problems }: ReadPolicy, format: Options['format']): string {
  if (format === 'json') return JSON.stringify({ v: 1, policy: id, problems });
  if (format === 'text') return [...problems.map(formatProblem), endOf(problems)].join('\n');
  const found = { findings: problems.map(findingOf), notes: [] };
  return format === 'github' ? formatGithub(found) : formatSarif(found);
}

function findingOf({ severity, code, file, line, message, suggestion }: Problem): Finding {
  const meant = suggestion === null ? '' : `; did you mean \`${suggestion}\`?`;
  return { level: severity, rule: code, file, line, message: message + meant };
}

function endOf(problems: readonly Problem[]): string {
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  const counts = [plural(errors, 'mistake'), plural(problems.length - errors, 'warning')];
  return problems.length > 0 ? counts.join(', ') : 'nothing found';
}
