import { type Dependencies, Digraph } from './digraph.ts';

/**
 * For every service that reaches one of `targets` by what it depends on, and is none of them: the shortest
 * path, from the service to the target, both included. Among paths of one length the dependency declared
 * first wins. Cycles among services are no obstacle.
 */
export function pathsTo(
  targets: readonly string[],
  dependencies: Dependencies,
): Map<string, readonly string[]> {
  const graph = new Digraph(dependencies);
  const distance = graph.distancesTo(targets.map((target) => graph.numberOf(target)));
  const next = nextSteps(graph, distance);
  const paths = new Map<string, readonly string[]>();
  for (const [number, service] of graph.names.entries())
    if ((distance[number] as number) > 0 && dependencies.has(service))
      paths.set(service, follow(graph, next, number));
  return paths;
}

/** By number: the dependency that leads to the target soonest; -1 at a target, and where there is none. */
export function nextSteps(graph: Digraph, distance: Int32Array): Int32Array {
  return distance.map((steps, number) => (steps > 0 ? nearest(graph.neededBy(number), distance) : -1));
}

/** Of some services the one nearest to the target, the first of equals; -1 if none reaches it. */
function nearest(numbers: readonly number[], distance: Int32Array): number {
  let best = -1;
  for (const number of numbers) {
    const steps = distance[number] as number;
    if (steps !== -1 && (best === -1 || steps < (distance[best] as number))) best = number;
  }
  return best;
}

/** The path from a service to the target its next steps lead to, both included. */
export function follow(graph: Digraph, next: Int32Array, start: number): string[] {
  const path: string[] = [];
  for (let here = start; here !== -1; here = next[here] as number) path.push(graph.nameOf(here));
  return path;
}
