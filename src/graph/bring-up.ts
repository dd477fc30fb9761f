import type { Dependencies } from './digraph.ts';
import type { Caller } from './observed.ts';
import { type RestoreStep, restoreOrder } from './restore.ts';
import { callerKey, type Edge, isMust, isReal, type ServiceGraph } from './service-graph.ts';

/** A deployment to run, or a service to bring up that no deployment does. */
export interface BringUpStep extends Omit<RestoreStep, 'names' | 'loops'> {
  readonly parties: readonly Caller[];
  readonly loops: readonly (readonly Caller[])[];
}

/**
 * The order to bring everything back from nothing. A service comes after what it depends on and after the
 * deployments that deploy it; a deployment comes after what its runs call or may call, but for what it deploys.
 * Where a loop forbids an order, its parties are in the one they would have if no deployment called what it only may.
 */
export function bringUpOrder(graph: ServiceGraph): BringUpStep[] {
  const { parties, needs } = bringUpNeeds(graph, isReal);
  const strict = restoreOrder(bringUpNeeds(graph, isMust).needs).flatMap(({ names }) => names);
  const place = new Map(strict.map((name, i) => [name, i]));
  const named = (names: readonly string[]) => names.flatMap((name) => parties.get(name) ?? []);
  return restoreOrder(needs).map(({ names, stage, loops }) => ({
    parties: named([...names].sort((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0))),
    stage,
    loops: loops.map(named),
  }));
}

/** By key, every party and what it needs by edges that count. */
function bringUpNeeds(
  graph: ServiceGraph,
  counts: (edge: Edge) => boolean,
): { readonly parties: ReadonlyMap<string, Caller>; readonly needs: Dependencies } {
  const parties = new Map<string, Caller>();
  const needs = new Map<string, string[]>();
  const add = (party: Caller, needed: readonly Caller[]) => {
    for (const each of [party, ...needed]) parties.set(callerKey(each), each);
    needs.set(callerKey(party), [...(needs.get(callerKey(party)) ?? []), ...needed.map(callerKey)]);
  };
  const called = (party: Caller): Caller[] =>
    graph
      .edgesFrom(party)
      .filter(counts)
      .map(({ to }) => ({ kind: 'service', name: to }));
  for (const { name, deploys } of graph.deployments.values()) {
    const party: Caller = { kind: 'deployment', name };
    add(
      party,
      called(party).filter((needed) => !deploys.includes(needed.name)),
    );
    for (const deployed of deploys) add({ kind: 'service', name: deployed }, [party]);
  }
  for (const name of graph.services.keys()) {
    const party: Caller = { kind: 'service', name };
    add(party, called(party));
  }
  return { parties, needs };
}
