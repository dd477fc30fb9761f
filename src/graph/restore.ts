import { components, isLoop, loopsOf } from './components.ts';
import { type Dependencies, Digraph } from './digraph.ts';

/** What is brought back together: one thing, or several of which each needs the others. */
export interface RestoreStep {
  readonly names: readonly string[];
  /** The step can be taken when all earlier stages are done; counts from 1. */
  readonly stage: number;
  /** Cycles that forbid it, the shortest first, each with its first name again at the end; empty for most. */
  readonly loops: readonly (readonly string[])[];
}

/** The most cycles told of one step. */
const MOST_LOOPS = 100;

/** The order to bring everything back from nothing: what is needed before what needs it, otherwise as declared. */
export function restoreOrder(dependencies: Dependencies): RestoreStep[] {
  const graph = new Digraph(dependencies);
  const stageOf = new Int32Array(graph.size);
  const steps = components(graph).map((component) => {
    const needed = component.flatMap((number) => graph.neededBy(number));
    const stage = needed.reduce((latest, number) => Math.max(latest, stageOf[number] as number), 0) + 1;
    for (const number of component) stageOf[number] = stage;
    return {
      first: component[0] as number,
      names: component.map((number) => graph.nameOf(number)),
      stage,
      loops: isLoop(graph, component) ? loopsOf(graph, component, MOST_LOOPS) : [],
    };
  });
  return steps
    .sort((a, b) => a.stage - b.stage || a.first - b.first)
    .map(({ names, stage, loops }) => ({ names, stage, loops }));
}
