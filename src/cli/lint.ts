import { Command, Option } from 'commander';
import type { Linted } from './lint-script.ts';
import { printResult } from './output.ts';
import { DEPLOYMENT_OPTION, FINDINGS, JSON_OPTION, POLICY_OPTION } from './policy-options.ts';

const EXAMPLES = `
It reads the script and the scripts it runs by constant path; it executes nothing, and looks nothing up.
Without a policy it lists the hosts that are named.
Exit status: 0 nothing would be denied, 1 something would be, 2 the script or the policy cannot be read.

Examples:
  acyclic lint ./deploy.sh                                  which hosts it names
  acyclic lint -p acyclic.yaml -d mysql ./deploy.sh         which of them would be denied, and why
  acyclic lint -p acyclic.yaml --format github ./deploy.sh  as annotations, in a workflow
  acyclic lint ./deploy.sh --format json | jq -r '.hosts[].host'`;

const FORMATS = ['text', 'github', 'sarif', 'json'] as const;

interface Options {
  readonly policy?: string;
  readonly deployment?: string;
  readonly format: (typeof FORMATS)[number];
  readonly json?: true;
}

/** `acyclic lint`: what a script names, before it runs. */
export function lintCommand(): Command {
  return new Command('lint')
    .description('what a script names, before it runs')
    .argument('<script>', 'a deploy script')
    .addOption(POLICY_OPTION)
    .addOption(DEPLOYMENT_OPTION)
    .addOption(new Option('--format <how>', 'how to print').choices(FORMATS).default('text'))
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (script: string, { policy, deployment, format, json }: Options) => {
      const { lintScript } = await import('./lint-script.ts');
      const linted = lintScript(script, { policy: policy ?? null, deployment: deployment ?? null });
      printResult(await print(linted, json ? 'json' : format));
      process.exitCode = linted.hosts.some(({ decision }) => decision && decision.verdict !== 'allow')
        ? FINDINGS
        : 0;
    });
}

async function print(linted: Linted, format: Options['format']): Promise<string> {
  if (format === 'json') return JSON.stringify((await import('./lint-json.ts')).asJson(linted));
  if (format === 'text') return (await import('./lint-text.ts')).asText(linted).join('\n');
  const { findingsOf, notesOf } = await import('./lint-findings.ts');
  const { formatGithub, formatSarif } = await import('./findings.ts');
  const found = { findings: findingsOf(linted), notes: notesOf(linted) };
  return format === 'github' ? formatGithub(found) : formatSarif(found);
}
