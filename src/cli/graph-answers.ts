import type { BringUpStep } from '../graph/bring-up.ts';
import { type Cut, cheapestCuts } from '../graph/cuts.ts';
import type { DeploymentCycle } from '../graph/deployment-cycles.ts';
import type { Impact } from '../graph/needs.ts';
import { callerKey, type Edge, type MappedDeployment, type ServiceGraph } from '../graph/service-graph.ts';
import { ARROW, formatFacts, formatOwned, formatParty, formatStanding } from './graph-words.ts';
import { plural } from './policy-options.ts';

/** Cycles of one deployment, or among services that no deployment deploys. */
export interface CycleList {
  readonly deployment: MappedDeployment | null;
  readonly cycles: readonly ListedCycle[];
  /** There are others beyond the limit. */
  readonly more: boolean;
}

export interface ListedCycle {
  readonly path: readonly string[];
  /** Its edges, as far as there are any: a call that nobody made is none. */
  readonly edges: readonly Edge[];
  /** Null among services: it stands. */
  readonly through: DeploymentCycle | null;
}

export function cutsOf({ cycles }: CycleList): Cut<Edge>[] {
  return cheapestCuts(
    cycles.map(({ edges }) => edges),
    ({ from, to }) => `${callerKey(from)} ${to}`,
  );
}

/** Each list under its heading, with owners, what of a cycle was seen, and where to cut. */
export function formatCycles(graph: ServiceGraph, lists: readonly CycleList[]): string[] {
  const told = lists.filter(({ cycles }) => cycles.length > 0);
  if (told.length === 0) return ['no cycle'];
  return told.flatMap((list, i) => [...(i === 0 ? [] : ['']), ...formatList(graph, list)]);
}

function formatList(graph: ServiceGraph, list: CycleList): string[] {
  const { deployment, cycles, more } = list;
  const what = deployment ? `deployment ${deployment.name}` : 'services that no deployment deploys';
  const count = more ? `the first ${plural(cycles.length, 'cycle')}` : plural(cycles.length, 'cycle');
  const cuts = cutsOf(list);
  return [
    `${what}: ${count}`,
    ...cycles.flatMap((cycle) => formatCycle(graph, cycle)),
    ...(more ? ['  and more: --limit lists them'] : []),
    ...cuts.map(({ edge, breaks }, i) => {
      const label = i === 0 ? 'cheapest to cut' : 'then';
      const gone = i === 0 ? `breaks ${breaks} of ${cycles.length}` : `breaks ${breaks} more`;
      return `  ${label.padEnd(15)} ${formatParty(edge.from)}${ARROW}${edge.to}   ${formatFacts(graph, edge)}   ${gone}`;
    }),
  ];
}

function formatCycle(graph: ServiceGraph, { path, edges, through }: ListedCycle): string[] {
  const owners = [...new Set(path)].map((name) => formatOwned(graph, name));
  const seen = edges.filter((edge) => edge.seen.length > 0);
  return [
    `  ${path.join(ARROW)}   ${through ? formatStanding(through) : 'stands'}`,
    `    owners  ${owners.join(', ')}`,
    ...seen.map(
      (edge) => `    seen    ${formatParty(edge.from)}${ARROW}${edge.to}   ${formatFacts(graph, edge)}`,
    ),
  ];
}

/** A way as its services, and each of its steps under it. */
export function formatWay(
  graph: ServiceGraph,
  from: string,
  to: string,
  way: readonly Edge[] | null,
): string[] {
  if (!way) return [`${from} does not need ${to}`];
  const [first] = way;
  const names = [first?.from.name, ...way.map((edge) => edge.to)];
  return [names.join(ARROW), ...formatSteps(graph, way)];
}

function formatSteps(graph: ServiceGraph, way: readonly Edge[]): string[] {
  const labels = way.map(({ from, to }) => `${formatParty(from)}${ARROW}${to}`);
  const width = Math.max(...labels.map((label) => label.length));
  return way.map((edge, i) => `  ${(labels[i] ?? '').padEnd(width)}   ${formatFacts(graph, edge)}`);
}

/** Which deployments could not run, each with the way it needs the service. */
export function formatImpact(graph: ServiceGraph, service: string, impacts: readonly Impact[]): string[] {
  const count = plural(impacts.length, 'deployment');
  return [
    impacts.length === 0
      ? `every deployment could run if ${service} were down`
      : `${count} could not run if ${service} were down`,
    ...impacts.flatMap(({ deployment, steps }) => [
      `  ${[deployment.name, ...viaDeployed(steps), ...steps.map(({ to }) => to)].join(ARROW)}`,
      ...formatSteps(graph, steps).map((line) => `  ${line}`),
    ]),
  ];
}

/** The deployed service through which a deployment needs the first, where its runs do not call it themselves. */
export function viaDeployed([first]: readonly Edge[]): string[] {
  return first?.from.kind === 'service' ? [first.from.name] : [];
}

/** The stages of a restore, and where a loop forbids one. */
export function formatRestore(steps: readonly BringUpStep[]): string[] {
  const width = String(steps.at(-1)?.stage ?? 0).length;
  const lines = steps.map(({ parties, stage, loops }, i) => {
    const label = steps[i - 1]?.stage === stage ? '' : String(stage);
    const names = parties.map(formatParty).join(', ');
    return `${label.padStart(width)}  ${names}${loops.length > 0 ? '   each needs the others' : ''}`;
  });
  const loops = steps.flatMap((step) => step.loops);
  if (loops.length === 0) return lines;
  return [
    ...lines,
    `${plural(loops.length, 'loop')} ${loops.length === 1 ? 'forbids' : 'forbid'} an order:`,
    ...loops.map((loop) => `  ${loop.map(formatParty).join(ARROW)}`),
  ];
}
