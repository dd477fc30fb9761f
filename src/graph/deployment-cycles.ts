import { components, isLoop, loopsOf } from './components.ts';
import { closings } from './cycles.ts';
import { Digraph } from './digraph.ts';
import { edgesAlong, firstNeeds } from './needs.ts';
import { type Edge, type Gate, isMust, type MappedDeployment, type ServiceGraph } from './service-graph.ts';

/**
 * How a cycle stands. `standing`: every step of it is a dependency, its first too. Otherwise the first step would be
 * a call of the deployment that nobody has seen, and this is what the guard does with it.
 */
export type Standing = 'standing' | Gate;

/** A path of services from a deployment back to itself. */
export interface DeploymentCycle {
  readonly deployment: MappedDeployment;
  /** The first and the last are deployed by it, and mostly one. */
  readonly path: readonly string[];
  readonly standing: Standing;
  /** Its first step, where it is declared or was seen; null where it would be a call. */
  readonly first: Edge | null;
  /** The others. */
  readonly rest: readonly Edge[];
}

const ORDER: readonly Standing[] = ['standing', 'let-through', 'unknowable', 'recorded', 'waived', 'denied'];

export interface DeploymentCycles {
  readonly cycles: readonly DeploymentCycle[];
  /** There are others beyond the limit. */
  readonly more: boolean;
}

/** The elementary cycles through a deployment, the shortest first, of one length those that stand; at most `limit`. */
export function deploymentCycles(
  graph: ServiceGraph,
  deployment: MappedDeployment,
  limit: number,
): DeploymentCycles {
  const firsts = new Map(firstNeeds(graph, deployment).map((edge) => [edge.to, edge]));
  const entries = [...graph.services.keys()].map((service) => {
    const first = firsts.get(service) ?? null;
    return { service, first, standing: standingOf(deployment, service, first) };
  });
  return cyclesFrom(graph, deployment, entries, limit);
}

/** The shortest cycle through a deployment of which every step is a dependency; null if none is. */
export function standingCycle(graph: ServiceGraph, deployment: MappedDeployment): DeploymentCycle | null {
  const entries = firstNeeds(graph, deployment).flatMap((first) =>
    isMust(first) ? [{ service: first.to, first, standing: 'standing' as const }] : [],
  );
  return cyclesFrom(graph, deployment, entries, 1).cycles[0] ?? null;
}

function cyclesFrom(
  graph: ServiceGraph,
  deployment: MappedDeployment,
  begun: readonly { service: string; first: Edge | null; standing: Standing }[],
  limit: number,
): DeploymentCycles {
  const entries = begun.map((one) => ({ ...one, rank: ORDER.indexOf(one.standing) }));
  const { found, more } = closings(graph.digraph(), deployment.deploys, entries, limit);
  const cycles = found.map(({ entry: { first, standing }, path }) => {
    const begin = first?.from.kind === 'service' ? first.from.name : (path.at(-1) ?? '');
    return { deployment, path: [begin, ...path], standing, first, rest: edgesAlong(graph, path) };
  });
  return { cycles, more };
}

function standingOf({ gateOf }: MappedDeployment, service: string, first: Edge | null): Standing {
  return first && isMust(first) ? 'standing' : gateOf(service);
}

/** Cycles among services that pass through nothing any deployment deploys; at most `limit`. */
export function otherLoops(
  graph: ServiceGraph,
  limit: number,
): { readonly loops: readonly (readonly Edge[])[]; readonly more: boolean } {
  const deployed = new Set([...graph.deployments.values()].flatMap(({ deploys }) => deploys));
  // What is deployed is left without its own needs, so that no cycle goes through it.
  const left = [...graph.dependencies()].filter(([name]) => !deployed.has(name));
  const digraph = new Digraph(new Map(left));
  const loops = components(digraph)
    .filter((component) => isLoop(digraph, component))
    .flatMap((component) => loopsOf(digraph, component, limit + 1))
    .sort((a, b) => a.length - b.length);
  return {
    loops: loops.slice(0, limit).map((loop) => edgesAlong(graph, loop)),
    more: loops.length > limit,
  };
}
