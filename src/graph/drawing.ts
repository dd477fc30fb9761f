import type { Caller } from './observed.ts';
import { callerKey, type Edge, isUndeclared, type ServiceGraph } from './service-graph.ts';

/** What is drawn of a graph. */
export interface Drawing {
  readonly parties: readonly Caller[];
  /** From a caller to a service; a null `edge` is that of a deployment to what it deploys. */
  readonly lines: readonly { readonly from: Caller; readonly to: string; readonly edge: Edge | null }[];
}

/** All of a graph. */
export function wholeDrawing(graph: ServiceGraph): Drawing {
  const deployments = [...graph.deployments.values()];
  return {
    parties: [
      ...deployments.map(({ name }): Caller => ({ kind: 'deployment', name })),
      ...[...graph.services.keys()].map((name): Caller => ({ kind: 'service', name })),
    ],
    lines: [...deployedLines(graph), ...graph.edges().map((edge) => ({ ...edge, edge }))],
  };
}

/** Some edges of a graph, what they join, and who deploys it. */
export function partialDrawing(graph: ServiceGraph, edges: readonly Edge[]): Drawing {
  const parties = new Map<string, Caller>();
  for (const { from, to } of edges)
    for (const party of [from, { kind: 'service' as const, name: to }]) parties.set(callerKey(party), party);
  const shown = ({ from, to }: Drawing['lines'][number]) =>
    parties.has(callerKey(from)) && parties.has(callerKey({ kind: 'service', name: to }));
  const distinct = new Map(edges.map((edge) => [`${callerKey(edge.from)} ${edge.to}`, edge]));
  return {
    parties: [...parties.values()],
    lines: [
      ...deployedLines(graph).filter(shown),
      ...[...distinct.values()].map((edge) => ({ from: edge.from, to: edge.to, edge })),
    ],
  };
}

function deployedLines(graph: ServiceGraph): Drawing['lines'] {
  return [...graph.deployments.values()].flatMap(({ name, deploys }) =>
    deploys.map((to) => ({ from: { kind: 'deployment' as const, name }, to, edge: null })),
  );
}

/** How a line is drawn: `deploys`, declared, or only seen. */
function styleOf(
  graph: ServiceGraph,
  { edge }: Drawing['lines'][number],
): { label: string; dashed: boolean } {
  if (!edge) return { label: 'deploys', dashed: false };
  const as = edge.declared.find((one) => one.as !== 'depends_on')?.as ?? '';
  return isUndeclared(graph, edge) ? { label: 'seen', dashed: true } : { label: as, dashed: false };
}

/** A graph of Graphviz. Deployments are boxes; what was seen and nobody declared is dashed. */
export function formatDot(graph: ServiceGraph, { parties, lines }: Drawing): string {
  const id = (party: Caller) => dotText(`${party.kind}:${party.name}`);
  return [
    'digraph acyclic {',
    '  rankdir=LR;',
    ...parties.map((party) => {
      const shape = party.kind === 'deployment' ? 'box' : 'ellipse';
      return `  ${id(party)} [label=${dotText(party.name)}, shape=${shape}];`;
    }),
    ...lines.map((line) => {
      const { label, dashed } = styleOf(graph, line);
      const attributes = [
        ...(label === '' ? [] : [`label=${dotText(label)}`]),
        ...(dashed ? ['style=dashed'] : []),
      ];
      const shown = attributes.length === 0 ? '' : ` [${attributes.join(', ')}]`;
      return `  ${id(line.from)} -> ${id({ kind: 'service', name: line.to })}${shown};`;
    }),
    '}',
  ].join('\n');
}

function dotText(text: string): string {
  return `"${text.replace(/[\\"]/g, (c) => `\\${c}`)}"`;
}

/** A flowchart of Mermaid, drawn as `formatDot` does. */
export function formatMermaid(graph: ServiceGraph, { parties, lines }: Drawing): string {
  const ids = new Map(parties.map((party, i) => [callerKey(party), `n${i}`]));
  const id = (party: Caller) => ids.get(callerKey(party)) ?? '';
  return [
    'flowchart LR',
    ...parties.map((party) => {
      const label = `"${mermaidText(party.name)}"`;
      return `  ${id(party)}${party.kind === 'deployment' ? `[${label}]` : `([${label}])`}`;
    }),
    ...lines.map((line) => {
      const { label, dashed } = styleOf(graph, line);
      const arrow = dashed ? '-.->' : '-->';
      const shown = label === '' ? arrow : `${arrow}|${mermaidText(label)}|`;
      return `  ${id(line.from)} ${shown} ${id({ kind: 'service', name: line.to })}`;
    }),
  ].join('\n');
}

/** Mermaid reads entities by number in a quoted text. */
function mermaidText(text: string): string {
  return text.replace(/[^A-Za-z0-9 ._-]/g, (c) => `#${c.codePointAt(0)};`);
}
