import { MATCH_LISTS } from './check-match.ts';
import { patternsIn, patternsMeet } from './match.ts';
import type { Policy } from './policy.ts';
import { fault, type Problem } from './problem.ts';
import { type Inspected, type Whereabout, warningAt } from './whereabouts.ts';

/** Cgroups that two deployments match: the pattern that says more of a name has them. */
export function inspectMatches({ policy, whereabouts }: Inspected): Problem[] {
  const all = patternsIn(policy);
  return all.flatMap((one, i) => {
    const other = all
      .slice(0, i)
      .find(({ deployment, pattern }) => deployment !== one.deployment && patternsMeet(pattern, one.pattern));
    const at = other && placeOf(policy, one.deployment, one.pattern.text, whereabouts);
    if (!other || !at) return [];
    const message = `\`${one.pattern.text}\` can match what \`${other.pattern.text}\` of deployment \`${other.deployment}\` does: the one that gives more of the name has it`;
    return [warningAt(at, fault('match-overlap', message))];
  });
}

function placeOf(
  policy: Policy,
  deployment: string,
  text: string,
  whereabouts: Inspected['whereabouts'],
): Whereabout | null {
  const { patterns } = policy.deployments.get(deployment)?.match ?? { patterns: [] };
  const kinds = { units: 'unit', slices: 'slice', cgroups: 'cgroup' } as const;
  for (const list of MATCH_LISTS) {
    const i = patterns.filter(({ kind }) => kind === kinds[list]).findIndex((one) => one.text === text);
    if (i >= 0) return whereabouts.deployment(deployment, 'match', list, i);
  }
  return null;
}
