import type { Deployment } from './policy.ts';
import { fault } from './problem.ts';
import type { ValueReader } from './read-rule.ts';
import type { DeploymentData } from './schema.ts';

export const MATCH_LISTS = ['units', 'slices', 'cgroups'] as const;

/** A cgroup is of one deployment. `first`: where each pattern is written, of the deployments before. */
export function checkMatch(
  reader: ValueReader,
  { name }: Deployment,
  { match }: DeploymentData,
  first: Map<string, string>,
): void {
  for (const list of MATCH_LISTS)
    for (const [i, text] of (match?.[list] ?? []).entries()) {
      const path = ['deployments', name, 'match', list, i];
      const before = first.get(`${list} ${text}`);
      if (before)
        reader.complain(path, fault('duplicate-match', `\`${text}\` is matched at ${before} already`));
      else first.set(`${list} ${text}`, reader.source(path));
    }
}
