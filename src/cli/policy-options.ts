import { Option } from 'commander';

/** Exit status of a command that looked and found something. */
export const FINDINGS = 1;

/** The options that commands about a policy have in common. */
export const POLICY_OPTION = new Option(
  '-p, --policy <path>',
  'policy file or directory; default: the installed one',
);
export const DEPLOYMENT_OPTION = new Option('-d, --deployment <name>', 'as named in the policy');
export const JSON_OPTION = new Option('--json', 'one JSON object');
export const REPORT_OPTION = new Option(
  '--report <file>',
  'what a run recorded with --report, in place of the audit trail (repeatable)',
).argParser((file: string, before: string[] | undefined) => [...(before ?? []), file]);
export const STATE_OPTION = new Option(
  '--state <dir>',
  'where the audit trail and merged edges are kept: $ACYCLIC_STATE, or /var/lib/acyclic',
);
export const SINCE_OPTION = new Option(
  '--since <time>',
  'from then on: 7d, 2h, today, 2026-11-23, "2026-11-23 03:20" (UTC)',
);

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
