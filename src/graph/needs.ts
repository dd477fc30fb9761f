import type { Digraph } from './digraph.ts';
import type { Caller } from './observed.ts';
import { follow, nextSteps } from './paths.ts';
import { type Edge, isMust, isReal, type MappedDeployment, type ServiceGraph } from './service-graph.ts';

/**
 * What a deployment needs first: the services its runs call or may call, and those that the services it deploys
 * depend on. What it deploys is not among them. One edge for each service, of the deployment where it has one; but
 * what only may be called gives way to what is needed.
 */
export function firstNeeds(graph: ServiceGraph, { name, deploys }: MappedDeployment): Edge[] {
  const callers: Caller[] = [
    { kind: 'deployment', name },
    ...deploys.map((deployed) => ({ kind: 'service' as const, name: deployed })),
  ];
  const first = new Map<string, Edge>();
  for (const edge of callers.flatMap((caller) => graph.edgesFrom(caller)))
    if (isReal(edge) && !deploys.includes(edge.to)) {
      const known = first.get(edge.to);
      if (!known || (!isMust(known) && isMust(edge))) first.set(edge.to, edge);
    }
  return [...first.values()];
}

/** A deployment that could not run if some service were down, and the way it depends on it. */
export interface Impact {
  readonly deployment: MappedDeployment;
  readonly steps: readonly Edge[];
}

/**
 * The deployments that could not run if the service were down, each with the shortest way to it. One that deploys
 * the service is among them only if it needs it on the way.
 */
export function impactOf(graph: ServiceGraph, service: string): Impact[] {
  const toward = new Toward(graph, [service]);
  return [...graph.deployments.values()].flatMap((deployment) => {
    const steps = toward.from(firstNeeds(graph, deployment));
    return steps ? [{ deployment, steps }] : [];
  });
}

/**
 * The shortest way by which one thing needs another, each a deployment or a service by name; null if there is none.
 * A name of both is the deployment at the start, and the service at the end.
 */
export function wayBetween(graph: ServiceGraph, from: string, to: string): readonly Edge[] | null {
  const deployment = graph.deployments.get(from);
  const first = deployment
    ? firstNeeds(graph, deployment)
    : graph.edgesFrom({ kind: 'service', name: from }).filter(isReal);
  const ends = graph.services.has(to) ? [to] : (graph.deployments.get(to)?.deploys ?? []);
  return new Toward(graph, ends).from(first);
}

/** The shortest ways to some services. */
class Toward {
  readonly #graph: ServiceGraph;
  readonly #digraph: Digraph;
  readonly #distance: Int32Array;
  readonly #next: Int32Array;

  constructor(graph: ServiceGraph, ends: readonly string[]) {
    this.#graph = graph;
    this.#digraph = graph.digraph();
    this.#distance = this.#digraph.distancesTo(ends.map((end) => this.#digraph.numberOf(end)));
    this.#next = nextSteps(this.#digraph, this.#distance);
  }

  /** The shortest way that begins with one of these edges. */
  from(edges: readonly Edge[]): Edge[] | null {
    let best: Edge | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const edge of edges) {
      const distance = this.#distance[this.#digraph.numberOf(edge.to)] ?? -1;
      if (distance === -1 || distance >= least) continue;
      [best, least] = [edge, distance];
    }
    if (!best) return null;
    const path = follow(this.#digraph, this.#next, this.#digraph.numberOf(best.to));
    return [best, ...edgesAlong(this.#graph, path)];
  }
}

/** The edges of a path of services. */
export function edgesAlong(graph: ServiceGraph, path: readonly string[]): Edge[] {
  return path.slice(1).flatMap((to, i) => graph.edge({ kind: 'service', name: path[i] as string }, to) ?? []);
}
