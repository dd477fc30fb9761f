import { Option } from 'commander';

/** Exit status of a command that looked and found something. */
export const FINDINGS = 1;

/** The options that commands about a policy have in common. */
export const POLICY_OPTION = new Option(
  '-p, --policy <path>',
  'policy file or directory; default: the installed one',
);
export const DEPLOYMENT_OPTION = new Option('-d, --deployment <name>', 'as named in the policy');

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
