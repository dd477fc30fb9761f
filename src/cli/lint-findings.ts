import type { Finding, Note } from './findings.ts';
import type { Linted } from './lint-script.ts';
import { formatNamed, formatUnseen, formatVerdict, formatWhy } from './lint-words.ts';

/** What would be denied, for a machine that shows it where it stands; the worst first. */
export function findingsOf({ hosts }: Linted): Finding[] {
  const found = hosts.flatMap(({ mention, decision }): Finding[] => {
    if (!decision || decision.verdict === 'allow') return [];
    const level = decision.verdict === 'deny' ? 'error' : 'warning';
    const message = `${formatNamed(mention)} ${formatVerdict(decision)}: ${formatWhy(decision)}`;
    return [{ level, rule: decision.rule.kind, ...mention.place, message }];
  });
  return found.sort((a, b) => Number(a.level === 'warning') - Number(b.level === 'warning'));
}

/** What reading cannot tell. */
export function notesOf({ unseen }: Linted): Note[] {
  return unseen.map((one) => ({ ...one.place, message: formatUnseen(one) }));
}
