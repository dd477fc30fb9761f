import { callerKey, type Edge, type ServiceGraph } from '../graph/service-graph.ts';
import type { LoadedPolicy } from '../guard/policy-files.ts';
import { amendServices } from '../policy/amend.ts';
import { declareSeen, type NotProposed, type Proposal } from '../policy/declare-seen.ts';
import { scalar } from '../policy/suggest-text.ts';
import { unifiedDiff } from '../policy/unified-diff.ts';
import type { GraphOptions } from './graph-options.ts';
import { ARROW, formatFacts, formatParty } from './graph-words.ts';
import { Failure, harmless, type Output, printResult } from './output.ts';
import { FINDINGS } from './policy-options.ts';

/** Prints what was seen and nobody declared as a diff of the policy's files, and sets the exit status. */
export function learnServices(
  { files, id }: LoadedPolicy,
  graph: ServiceGraph,
  { format }: GraphOptions,
  output: Output,
): void {
  if (format === 'dot' || format === 'mermaid')
    throw new Failure('contradiction', '--learn prints a diff, which cannot be drawn', 'leave --format out');
  const { proposals, left } = declareSeen(graph);
  const additions = Map.groupBy(proposals, ({ service }) => service);
  const changed = amendServices(
    files,
    new Map([...additions].map(([service, own]) => [service, own.map((one) => lineOf(graph, one))])),
  );
  const diffs = files.flatMap(({ name, file, text }) => {
    const after = changed.find((one) => one.name === name);
    return after ? [unifiedDiff(file, text, after.text)] : [];
  });
  const remarks = left.map((one) => remark(graph, one)).map(harmless);
  if (format === 'json')
    printResult(JSON.stringify({ v: 1, policy: id, ...asJson(proposals, left), diff: diffs.join('') }));
  else if (diffs.length > 0) printResult([...remarks.map((line) => `# ${line}\n`), ...diffs].join(''));
  else {
    const nothing = graph.watched ? 'nothing was seen that is not declared' : 'nothing was seen';
    output.say('info', [`acyclic: ${left.length > 0 ? 'nothing to declare' : nothing}`, ...remarks]);
  }
  process.exitCode = proposals.length + left.length > 0 ? FINDINGS : 0;
}

function lineOf(graph: ServiceGraph, { dependsOn, edges }: Proposal) {
  return {
    rule: scalar(dependsOn),
    comment: edges.map((edge) => `${callerOf(edge)}${facts(graph, edge)}`).join('; '),
  };
}

/** A deployment is named, since the dependency is written of what it deploys. */
function callerOf({ from }: Edge): string {
  return from.kind === 'deployment' ? `by ${callerKey(from)}, ` : '';
}

/** The proposal says itself that nobody declared it. */
function facts(graph: ServiceGraph, edge: Edge): string {
  return formatFacts(graph, edge).replace(/, nobody declared it$/, '');
}

function remark(graph: ServiceGraph, { edge, why }: NotProposed): string {
  return `not proposed: ${formatParty(edge.from)}${ARROW}${edge.to}, ${facts(graph, edge)}: ${why}`;
}

function asJson(proposals: readonly Proposal[], left: readonly NotProposed[]): object {
  return {
    proposals: proposals.map(({ service, dependsOn, edges }) => ({
      ...{ service, depends_on: dependsOn },
      seen: edges.flatMap((edge) =>
        edge.seen.map(({ from, to, ...seen }) => ({ from: { [from.kind]: from.name }, ...seen })),
      ),
    })),
    left_out: left.map(({ edge: { from, to }, why }) => ({ from: { [from.kind]: from.name }, to, why })),
  };
}
