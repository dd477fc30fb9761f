import { pathsTo } from '../graph/paths.ts';
import { type Edge, isSeen, isUndeclared, type ServiceGraph } from '../graph/service-graph.ts';

/** A dependency that was seen, to be declared of a service. */
export interface Proposal {
  readonly service: string;
  readonly dependsOn: string;
  /** What was seen of it. */
  readonly edges: readonly Edge[];
}

/** What was seen and is not for declaring, and why. */
export interface NotProposed {
  readonly edge: Edge;
  readonly why: string;
}

/**
 * What was seen and nobody declared, as dependencies to declare: of the service that called, or of the service that
 * was deployed by the run that called. A call of a run that closes a cycle is to be got rid of, not to be declared.
 */
export function declareSeen(graph: ServiceGraph): {
  readonly proposals: readonly Proposal[];
  readonly left: readonly NotProposed[];
} {
  const proposals = new Map<string, Proposal>();
  const left: NotProposed[] = [];
  for (const edge of graph.edges()) {
    if (!isSeen(edge) || !isUndeclared(graph, edge)) continue;
    const found = proposed(graph, edge);
    if ('why' in found) {
      left.push({ edge, why: found.why });
      continue;
    }
    const key = `${found.service} ${edge.to}`;
    const edges = [...(proposals.get(key)?.edges ?? []), edge];
    proposals.set(key, { service: found.service, dependsOn: edge.to, edges });
  }
  return { proposals: [...proposals.values()], left };
}

function proposed(graph: ServiceGraph, { from, to }: Edge): { service: string } | { why: string } {
  const isDefined = (name: string) => (graph.services.get(name)?.source ?? null) !== null;
  if (!isDefined(to)) return { why: `the policy defines no service ${to}` };
  if (from.kind === 'service')
    return isDefined(from.name)
      ? { service: from.name }
      : { why: `the policy defines no service ${from.name}` };
  const deploys = (graph.deployments.get(from.name)?.deploys ?? []).filter(isDefined);
  const path = pathsTo(deploys, graph.dependencies()).get(to);
  if (path) return { why: `it closes a cycle: ${[path.at(-1), ...path].join(' → ')}` };
  const [only, ...others] = deploys;
  if (only === undefined) return { why: `deployment ${from.name} deploys no service of the policy` };
  if (others.length > 0)
    return { why: `deployment ${from.name} deploys several services: say which needs it` };
  return { service: only };
}
