/** What each service depends on, in declared order. */
export type Dependencies = ReadonlyMap<string, readonly string[]>;

/**
 * For every service that reaches one of `targets` by what it depends on, and is none of them: the shortest
 * path, from the service to the target, both included. Among paths of one length the dependency declared
 * first wins. Cycles among services are no obstacle.
 */
export function pathsTo(
  targets: readonly string[],
  dependencies: Dependencies,
): Map<string, readonly string[]> {
  const distance = distancesTo(targets, dependencies);
  const paths = new Map<string, readonly string[]>();
  for (const [service] of dependencies) {
    if (distance.has(service) && !targets.includes(service))
      paths.set(service, walk(service, distance, dependencies));
  }
  return paths;
}

function distancesTo(targets: readonly string[], dependencies: Dependencies): Map<string, number> {
  const dependents = new Map<string, string[]>();
  for (const [service, needed] of dependencies) {
    for (const one of needed) {
      const list = dependents.get(one);
      if (list) list.push(service);
      else dependents.set(one, [service]);
    }
  }
  const distance = new Map(targets.map((target) => [target, 0]));
  const queue = [...distance.keys()];
  for (const service of queue) {
    const next = (distance.get(service) ?? 0) + 1;
    for (const dependent of dependents.get(service) ?? []) {
      if (distance.has(dependent)) continue;
      distance.set(dependent, next);
      queue.push(dependent);
    }
  }
  return distance;
}

function walk(service: string, distance: ReadonlyMap<string, number>, dependencies: Dependencies): string[] {
  const path = [service];
  let here: string | undefined = service;
  for (let left = (distance.get(service) ?? 0) - 1; left >= 0 && here !== undefined; left--) {
    here = dependencies.get(here)?.find((needed) => distance.get(needed) === left);
    if (here !== undefined) path.push(here);
  }
  return path;
}
