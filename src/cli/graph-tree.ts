import { otherLoops, standingCycle } from '../graph/deployment-cycles.ts';
import { pathsTo } from '../graph/paths.ts';
import { type Edge, type MappedDeployment, neverSeen, type ServiceGraph } from '../graph/service-graph.ts';
import { ARROW, formatFacts, formatOwned } from './graph-words.ts';
import { plural } from './policy-options.ts';

const DEEPEST = 10;
const MOST_CLOSED = 8;

/** What is under each other in a tree. */
interface Branch {
  readonly text: string;
  readonly below: readonly Branch[];
}

/** Deployments with what they need, what that needs, and what is denied to them; then the services that are left. */
export function formatTree(graph: ServiceGraph, deployments: readonly MappedDeployment[]): string[] {
  const shown = new Set<string>();
  const trees = deployments.map((deployment) => deploymentTree(graph, deployment, shown));
  const all = isWhole(graph, deployments) ? [...graph.services.keys()] : [];
  // Those nobody needs come first: what is below them is drawn there.
  const needed = new Set(graph.edges().map(({ to }) => to));
  const order = [...all.filter((name) => !needed.has(name)), ...all];
  const others = order.flatMap((name): Branch[] => {
    if (shown.has(name)) return [];
    shown.add(name);
    const below = needsOf(graph, name, { above: [], shown });
    return [{ text: `service ${formatOwned(graph, name)}`, below }];
  });
  return [...trees, ...others].flatMap(({ text, below }) => [text, ...drawn(below, '')]);
}

/** The shortest cycle that stands through each deployment, and one among other services; nothing where none does. */
export function formatStandingCycles(
  graph: ServiceGraph,
  deployments: readonly MappedDeployment[],
): string[] {
  const through = deployments.flatMap((deployment) => {
    const cycle = standingCycle(graph, deployment);
    return cycle ? [`cycle  ${cycle.path.join(ARROW)}   deployment ${deployment.name}`] : [];
  });
  const lines = [...through, ...(isWhole(graph, deployments) ? otherLoop(graph) : [])];
  return lines.length === 0 ? [] : ['', ...lines, 'all of them: acyclic graph --cycles'];
}

function otherLoop(graph: ServiceGraph): string[] {
  const { loops } = otherLoops(graph, 1);
  return loops.map((loop) => {
    const names = [loop[0]?.from.name, ...loop.map(({ to }) => to)];
    return `cycle  ${names.join(ARROW)}`;
  });
}

/** Whether all deployments are asked for, and not one of them. */
function isWhole(graph: ServiceGraph, deployments: readonly MappedDeployment[]): boolean {
  return deployments.length === graph.deployments.size;
}

function drawn(branches: readonly Branch[], indent: string): string[] {
  return branches.flatMap(({ text, below }, i) => {
    const last = i === branches.length - 1;
    return [`${indent}${last ? '└─' : '├─'} ${text}`, ...drawn(below, `${indent}${last ? '   ' : '│  '}`)];
  });
}

function deploymentTree(graph: ServiceGraph, deployment: MappedDeployment, shown: Set<string>): Branch {
  const { name, source, deploys } = deployment;
  for (const deployed of deploys) shown.add(deployed);
  const called = graph.edgesFrom({ kind: 'deployment', name }).filter(({ to }) => !deploys.includes(to));
  return {
    text: `deployment ${name}   ${source ?? 'not in the policy'}`,
    below: [
      ...deploys.map((deployed) => ({
        text: `deploys ${formatOwned(graph, deployed)}`,
        below: needsOf(graph, deployed, { above: deploys, shown }),
      })),
      ...called.map((edge) =>
        branchOf(graph, 'calls', edge, formatFacts(graph, edge), { above: deploys, shown }),
      ),
      ...closedTo(graph, deployment),
    ],
  };
}

/** Services that need what it deploys, as far as the guard denies calls to them. */
function closedTo(graph: ServiceGraph, { deploys, gateOf }: MappedDeployment): Branch[] {
  const closed = [...pathsTo(deploys, graph.dependencies())]
    .filter(([service]) => gateOf(service) === 'denied')
    .map(([, path]) => [path.at(-1), ...path].join(ARROW));
  const left = closed.length - MOST_CLOSED;
  if (closed.length === 0) return [];
  const lines = [...closed.slice(0, MOST_CLOSED), ...(left > 0 ? [`and ${left} more`] : [])];
  return [
    {
      text: `denied ${plural(closed.length, 'service')}, which would close a cycle`,
      below: lines.map((text) => ({ text, below: [] })),
    },
  ];
}

/** The services on the way down to a branch, what was drawn already, and how deep it is. */
interface Way {
  readonly above: readonly string[];
  readonly shown: Set<string>;
}

function needsOf(graph: ServiceGraph, name: string, { above, shown }: Way): Branch[] {
  const way = { above: [...above, name], shown };
  return graph.edgesFrom({ kind: 'service', name }).map((edge) => {
    const facts = edge.declared.length > 0 && edge.seen.length === 0 ? null : formatFacts(graph, edge);
    return branchOf(graph, 'needs', edge, neverSeen(graph, edge) ? 'never seen' : facts, way);
  });
}

/** A service at the end of an edge, and below it what it needs, unless that is drawn elsewhere. */
function branchOf(graph: ServiceGraph, verb: string, { to }: Edge, facts: string | null, way: Way): Branch {
  const closes = way.above.includes(to);
  const needs = !closes && graph.edgesFrom({ kind: 'service', name: to }).length > 0;
  const elided = needs && (way.shown.has(to) || way.above.length >= DEEPEST);
  const remark = closes ? 'closes a cycle' : elided ? '…' : null;
  const text = [`${verb} ${formatOwned(graph, to)}`, facts, remark]
    .filter((part) => part !== null)
    .join('   ');
  if (closes || elided) return { text, below: [] };
  way.shown.add(to);
  return { text, below: needsOf(graph, to, way) };
}
