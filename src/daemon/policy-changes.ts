import { diffPolicies } from '../policy/diff.ts';
import { BETWEEN, diffLines } from '../policy/diff-text.ts';
import type { Policy } from '../policy/policy.ts';

/** Lines that are told and kept of one change. */
const MOST_LINES = 200;

/** What a policy means otherwise than the one before, a line each; a first one is compared with none at all. */
export function changesOf(before: Policy | null, after: Policy, now: Date): string[] {
  const was = before ?? { ...after, services: new Map(), floor: [], deployments: new Map() };
  const lines = diffLines(diffPolicies(was, after, now)).filter((line) => line !== BETWEEN);
  const left = lines.length - MOST_LINES;
  const told = lines.slice(0, MOST_LINES).map((line) => line());
  return left > 0 ? [...told, `and ${left} more lines`] : told;
}
