import type { DecidedCalls, Readiness } from '../policy/ready.ts';
import { formatOwnedRule } from '../policy/rule-text.ts';
import { plural } from './policy-options.ts';
import { formatExample } from './replay-text.ts';

const MOST_SHOWN = 50;

/** Whether the deployment is ready, and everything that stands against it. */
export function formatReadiness(
  { ready, runs, wanted, undecided, denied, incomplete }: Readiness,
  about: { deployment: string; days: number; policy: string },
): string[] {
  const { deployment, days, policy } = about;
  const seen = `${plural(runs, 'run')} in ${plural(days, 'day')}, policy ${policy}`;
  return [
    `${deployment} is ${ready ? 'ready to enforce' : 'not ready to enforce'}: ${seen}`,
    ...(runs < wanted ? [`  too few runs: ${runs} of ${wanted}`] : []),
    ...(incomplete.length > 0 ? [`  events were lost in ${incomplete.join(', ')}`] : []),
    ...section('nobody decided on', undecided, () => null),
    ...section('denied once it is enforced', denied, ({ decision }) => formatOwnedRule(decision.rule)),
  ];
}

function section(
  title: string,
  calls: readonly DecidedCalls[],
  ruleOf: (calls: DecidedCalls) => string | null,
): string[] {
  if (calls.length === 0) return [];
  const left = calls.length - MOST_SHOWN;
  return [
    `  ${title}`,
    ...calls.slice(0, MOST_SHOWN).flatMap((each) => {
      const { destination, count, runs, example, decision } = each;
      const rule = ruleOf(each);
      return [
        `    ${destination} ×${count} in ${plural(runs, 'run')}${rule === null ? '' : `   ${rule}`}`,
        ...(decision.cycle ? [`      ${decision.cycle.join(' → ')}`] : []),
        `      e.g. ${formatExample(example)}`,
      ];
    }),
    ...(left > 0 ? [`    and ${left} more`] : []),
  ];
}
