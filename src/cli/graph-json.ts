import type { BringUpStep } from '../graph/bring-up.ts';
import { standingCycle } from '../graph/deployment-cycles.ts';
import type { Impact } from '../graph/needs.ts';
import type { Caller } from '../graph/observed.ts';
import { pathsTo } from '../graph/paths.ts';
import { type Edge, isUndeclared, neverSeen, type ServiceGraph } from '../graph/service-graph.ts';
import { type CycleList, cutsOf, viaDeployed } from './graph-answers.ts';

function partyAsJson({ kind, name }: Caller): object {
  return { [kind]: name };
}

function edgeAsJson(graph: ServiceGraph, edge: Edge): object {
  const { from, to, declared, seen, deniedNow } = edge;
  return {
    ...{ from: partyAsJson(from), to, declared },
    seen: seen.map(({ host, calls, denied, first, last }) => ({ host, calls, denied, first, last })),
    denied_now: deniedNow,
    undeclared: isUndeclared(graph, edge),
    never_seen: neverSeen(graph, edge),
  };
}

/** The whole graph: what is declared and what was seen, apart. */
export function graphAsJson(graph: ServiceGraph): object {
  const dependencies = graph.dependencies();
  return {
    services: [...graph.services.values()].map(({ name, owner, source }) => ({ name, owner, source })),
    deployments: [...graph.deployments.values()].map((deployment) => ({
      ...{ name: deployment.name, source: deployment.source, deploys: deployment.deploys },
      circular: [...pathsTo(deployment.deploys, dependencies)].map(([service, path]) => ({
        service,
        path: [path.at(-1), ...path],
        call: deployment.gateOf(service),
      })),
      standing_cycle: standingCycle(graph, deployment)?.path ?? null,
    })),
    edges: graph.edges().map((edge) => edgeAsJson(graph, edge)),
  };
}

export function cyclesAsJson(graph: ServiceGraph, lists: readonly CycleList[]): object {
  return {
    cycles: lists.flatMap(({ deployment, cycles }) =>
      cycles.map(({ path, edges, through }) => ({
        ...{ deployment: deployment?.name ?? null, path, standing: through?.standing ?? 'standing' },
        owners: [...new Set(path)].map((service) => graph.services.get(service)?.owner ?? null),
        edges: edges.map((edge) => edgeAsJson(graph, edge)),
      })),
    ),
    more: lists.some(({ more }) => more),
    cuts: lists.flatMap((list) =>
      cutsOf(list).map(({ edge, breaks }) => ({
        deployment: list.deployment?.name ?? null,
        breaks,
        edge: edgeAsJson(graph, edge),
      })),
    ),
  };
}

export function wayAsJson(
  graph: ServiceGraph,
  from: string,
  to: string,
  way: readonly Edge[] | null,
): object {
  const path = way && [way[0]?.from.name, ...way.map((edge) => edge.to)];
  return { from, to, path, edges: way?.map((edge) => edgeAsJson(graph, edge)) ?? null };
}

export function impactAsJson(graph: ServiceGraph, service: string, impacts: readonly Impact[]): object {
  return {
    service,
    deployments: impacts.map(({ deployment, steps }) => ({
      deployment: deployment.name,
      path: [...viaDeployed(steps), ...steps.map(({ to }) => to)],
      edges: steps.map((edge) => edgeAsJson(graph, edge)),
    })),
  };
}

export function restoreAsJson(steps: readonly BringUpStep[]): object {
  return {
    steps: steps.map(({ parties, stage, loops }) => ({
      stage,
      parties: parties.map(partyAsJson),
      loops: loops.map((loop) => loop.map(partyAsJson)),
    })),
  };
}
