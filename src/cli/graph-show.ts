import { bringUpOrder } from '../graph/bring-up.ts';
import { deploymentCycles, otherLoops } from '../graph/deployment-cycles.ts';
import { type Drawing, formatDot, formatMermaid, partialDrawing, wholeDrawing } from '../graph/drawing.ts';
import { impactOf, wayBetween } from '../graph/needs.ts';
import type { Edge, MappedDeployment, ServiceGraph } from '../graph/service-graph.ts';
import { type CycleList, formatCycles, formatImpact, formatRestore, formatWay } from './graph-answers.ts';
import { cyclesAsJson, graphAsJson, impactAsJson, restoreAsJson, wayAsJson } from './graph-json.ts';
import { learnServices } from './graph-learn.ts';
import { chosenDeployments, loadGraph, requireParty } from './graph-loading.ts';
import type { GraphOptions } from './graph-options.ts';
import { formatStandingCycles, formatTree } from './graph-tree.ts';
import { harmless, type Output, printResult } from './output.ts';
import { requirePolicy } from './policy-loading.ts';
import { FINDINGS } from './policy-options.ts';

/** One answer, in every way it can be printed. */
interface Answer {
  readonly text: () => readonly string[];
  readonly json: () => object;
  readonly drawing: () => Drawing;
  readonly found: boolean;
}

/** Prints what the options ask of the graph, and sets the exit status. */
export async function showGraph(options: GraphOptions, output: Output): Promise<void> {
  const loaded = requirePolicy(options.policy);
  const graph = await loadGraph(loaded, options, output);
  if (options.learn) return learnServices(loaded, graph, options, output);
  const answer = answerTo(graph, options);
  const { format } = options;
  if (format === 'json') printResult(JSON.stringify({ v: 1, policy: loaded.id, ...answer.json() }));
  else if (format === 'dot') printResult(formatDot(graph, answer.drawing()));
  else if (format === 'mermaid') printResult(formatMermaid(graph, answer.drawing()));
  else printResult(answer.text().map(harmless).join('\n'));
  process.exitCode = answer.found ? FINDINGS : 0;
}

function answerTo(graph: ServiceGraph, options: GraphOptions): Answer {
  const { cycles, why, impact, restoreOrder } = options;
  if (why) return whyAnswer(graph, why);
  if (impact !== undefined) return impactAnswer(graph, requireParty(graph, impact, 'service'));
  if (restoreOrder) return restoreAnswer(graph);
  const deployments = chosenDeployments(graph, options);
  if (cycles) return cyclesAnswer(graph, deployments, options);
  const standing = formatStandingCycles(graph, deployments);
  return {
    text: () => [...formatTree(graph, deployments), ...standing],
    json: () => graphAsJson(graph),
    drawing: () => wholeDrawing(graph),
    found: standing.length > 0,
  };
}

function whyAnswer(graph: ServiceGraph, names: readonly string[]): Answer {
  const [from = '', to = ''] = names.map((name) => requireParty(graph, name, 'party'));
  const way = wayBetween(graph, from, to);
  return {
    text: () => formatWay(graph, from, to, way),
    json: () => wayAsJson(graph, from, to, way),
    drawing: () => partialDrawing(graph, way ?? []),
    found: false,
  };
}

function impactAnswer(graph: ServiceGraph, service: string): Answer {
  const impacts = impactOf(graph, service);
  return {
    text: () => formatImpact(graph, service, impacts),
    json: () => impactAsJson(graph, service, impacts),
    drawing: () =>
      partialDrawing(
        graph,
        impacts.flatMap(({ steps }) => steps),
      ),
    found: false,
  };
}

function restoreAnswer(graph: ServiceGraph): Answer {
  const steps = bringUpOrder(graph);
  return {
    text: () => formatRestore(steps),
    json: () => restoreAsJson(steps),
    drawing: () => wholeDrawing(graph),
    found: steps.some(({ loops }) => loops.length > 0),
  };
}

function cyclesAnswer(
  graph: ServiceGraph,
  deployments: readonly MappedDeployment[],
  { deployment, limit }: GraphOptions,
): Answer {
  const through = deployments.map((one): CycleList => {
    const { cycles, more } = deploymentCycles(graph, one, limit);
    const listed = cycles.map((cycle) => {
      const edges = [...(cycle.first ? [cycle.first] : []), ...cycle.rest];
      return { path: cycle.path, edges, through: cycle };
    });
    return { deployment: one, cycles: listed, more };
  });
  const lists = deployment === undefined ? [...through, among(graph, limit)] : through;
  const edges = lists.flatMap(({ cycles }) => cycles.flatMap((cycle): readonly Edge[] => cycle.edges));
  return {
    text: () => formatCycles(graph, lists),
    json: () => cyclesAsJson(graph, lists),
    drawing: () => partialDrawing(graph, edges),
    found: lists.some(({ cycles }) => cycles.length > 0),
  };
}

function among(graph: ServiceGraph, limit: number): CycleList {
  const { loops, more } = otherLoops(graph, limit);
  const cycles = loops.map((edges) => {
    const path = [edges[0]?.from.name ?? '', ...edges.map(({ to }) => to)];
    return { path, edges, through: null };
  });
  return { deployment: null, cycles, more };
}
