import { type Dependencies, Digraph } from './digraph.ts';
import { type Caller, mergeEdges, type ObservedEdge } from './observed.ts';

/** How a dependency is declared: by a service, or by what a deployment's policy lets it call. */
export type DeclaredAs = 'depends_on' | 'allow' | 'audit' | 'waiver' | 'dns';

export interface Declaration {
  readonly as: DeclaredAs;
  /** `file:line`. */
  readonly source: string;
  /** Of a waiver, its last day. */
  readonly until: string | null;
}

export interface MappedService {
  readonly name: string;
  readonly owner: string | null;
  /** Null: built in, or seen and not in the policy. */
  readonly source: string | null;
  readonly dependsOn: readonly string[];
}

export interface MappedDeployment {
  readonly name: string;
  /** Null: seen, and not in the policy. */
  readonly source: string | null;
  readonly deploys: readonly string[];
  /** The services its policy lets it call by a rule of their own. */
  readonly needs: readonly { readonly service: string; readonly declaration: Declaration }[];
  /** What becomes of its call to a service. */
  readonly gateOf: (service: string) => Gate;
}

/**
 * What the guard does with a call to a service: it denies it; it lets it through by a waiver, or since nothing
 * forbids it; it only records it (audit mode); or it cannot know it, for want of hosts and addresses.
 */
export type Gate = 'denied' | 'waived' | 'let-through' | 'recorded' | 'unknowable';

/** A policy as the graph sees it. */
export interface ServiceMap {
  readonly services: ReadonlyMap<string, MappedService>;
  readonly deployments: ReadonlyMap<string, MappedDeployment>;
}

/** What is declared and what was seen between a caller and a service, kept apart. */
export interface Edge {
  readonly from: Caller;
  readonly to: string;
  /** Empty: nobody declared it. */
  readonly declared: readonly Declaration[];
  /** By host, oldest first; empty: never seen. */
  readonly seen: readonly ObservedEdge[];
  /** Calls that were let through once are denied by now. */
  readonly deniedNow: boolean;
}

/** The services of a policy, what needs what by declaration, and what was seen to call what. */
export class ServiceGraph {
  readonly services: ReadonlyMap<string, MappedService>;
  readonly deployments: ReadonlyMap<string, MappedDeployment>;
  /** Whether anything was seen at all. */
  readonly watched: boolean;
  readonly #edges = new Map<string, Map<string, Edge>>();
  readonly #callersSeen: ReadonlySet<string>;
  #digraph: Digraph | null = null;

  /** What was seen of deployments and services that are not declared is in the graph as well. */
  constructor(map: ServiceMap, seen: readonly ObservedEdge[]) {
    const edges = mergeEdges(seen);
    const names = edges.flatMap(({ from, to }) => (from.kind === 'service' ? [from.name, to] : [to]));
    this.services = withUnknown(map.services, names, unknownService);
    const deployed = edges.flatMap(({ from }) => (from.kind === 'deployment' ? [from.name] : []));
    this.deployments = withUnknown(map.deployments, deployed, (name) => unknownDeployment(name, map));
    this.watched = edges.length > 0;
    this.#callersSeen = new Set(edges.map(({ from }) => callerKey(from)));
    for (const { name, dependsOn, source } of map.services.values())
      for (const to of dependsOn)
        this.#declare({ kind: 'service', name }, to, {
          as: 'depends_on',
          source: source ?? 'built in',
          until: null,
        });
    for (const { name, needs } of map.deployments.values())
      for (const { service, declaration } of needs)
        this.#declare({ kind: 'deployment', name }, service, declaration);
    for (const edge of edges) {
      const known = this.#edge(edge.from, edge.to);
      const seen = [...known.seen, edge];
      const wasLet = seen.some(({ calls }) => calls > 0);
      this.#put({ ...known, seen, deniedNow: wasLet && this.#isDenied(edge) });
    }
  }

  /** What a caller needs or was seen to call; declared ones first. */
  edgesFrom(caller: Caller): readonly Edge[] {
    return [...(this.#edges.get(callerKey(caller))?.values() ?? [])];
  }

  edges(): readonly Edge[] {
    return [...this.#edges.values()].flatMap((edges) => [...edges.values()]);
  }

  edge(from: Caller, to: string): Edge | null {
    return this.#edges.get(callerKey(from))?.get(to) ?? null;
  }

  /** Whether a call of it was ever seen: only then does it mean something that another was not. */
  wasWatched(caller: Caller): boolean {
    return this.#callersSeen.has(callerKey(caller));
  }

  /** What each service depends on, declared or seen. */
  dependencies(): Dependencies {
    return new Map(
      [...this.services.keys()].map((name) => [
        name,
        this.edgesFrom({ kind: 'service', name })
          .filter(isReal)
          .map(({ to }) => to),
      ]),
    );
  }

  /** The same by number. */
  digraph(): Digraph {
    this.#digraph ??= new Digraph(this.dependencies());
    return this.#digraph;
  }

  #edge(from: Caller, to: string): Edge {
    return this.edge(from, to) ?? { from, to, declared: [], seen: [], deniedNow: false };
  }

  #isDenied({ from, to }: ObservedEdge): boolean {
    return from.kind === 'deployment' && this.deployments.get(from.name)?.gateOf(to) === 'denied';
  }

  #declare(from: Caller, to: string, declaration: Declaration): void {
    const known = this.#edge(from, to);
    this.#put({ ...known, declared: [...known.declared, declaration] });
  }

  #put(edge: Edge): void {
    const key = callerKey(edge.from);
    const edges = this.#edges.get(key) ?? new Map<string, Edge>();
    edges.set(edge.to, edge);
    this.#edges.set(key, edges);
  }
}

/** Whether it is a dependency: declared, or seen and let through. Calls that are stopped make none. */
export function isReal(edge: Edge): boolean {
  return edge.declared.length > 0 || isSeen(edge);
}

/** Whether there is more to it than that a rule or a waiver lets a deployment call. */
export function isMust(edge: Edge): boolean {
  return isSeen(edge) || edge.declared.some(({ as }) => as === 'depends_on' || as === 'dns');
}

/** Whether calls were let through, and would be now. */
export function isSeen({ seen, deniedNow }: Edge): boolean {
  return !deniedNow && seen.some(({ calls }) => calls > 0);
}

export function callerKey({ kind, name }: Caller): string {
  return `${kind} ${name}`;
}

/** Whether it was seen and nobody declared it: no rule of a deployment, nor a service it deploys, names the service. */
export function isUndeclared(graph: ServiceGraph, { from, to, declared }: Edge): boolean {
  if (declared.length > 0) return false;
  if (from.kind === 'service') return true;
  const deploys = graph.deployments.get(from.name)?.deploys ?? [];
  return !deploys.some(
    (name) => name === to || (graph.edge({ kind: 'service', name }, to)?.declared.length ?? 0) > 0,
  );
}

/** What becomes of a declared edge in what was seen: null where nothing its caller does was. */
export function neverSeen(graph: ServiceGraph, { from, declared, seen }: Edge): boolean | null {
  return declared.length > 0 && graph.wasWatched(from) ? seen.length === 0 : null;
}

function withUnknown<T>(
  known: ReadonlyMap<string, T>,
  names: readonly string[],
  make: (name: string) => T,
): Map<string, T> {
  const all = new Map(known);
  for (const name of names) if (!all.has(name)) all.set(name, make(name));
  return all;
}

function unknownService(name: string): MappedService {
  return { name, owner: null, source: null, dependsOn: [] };
}

/** One that was seen and is not declared deploys the service of its own name, as it would by default. */
function unknownDeployment(name: string, { services }: ServiceMap): MappedDeployment {
  return {
    name,
    source: null,
    deploys: services.has(name) ? [name] : [],
    needs: [],
    gateOf: () => 'let-through',
  };
}
