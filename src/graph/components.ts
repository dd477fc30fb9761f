import type { Digraph } from './digraph.ts';

/**
 * The strongly connected components, by number: services of which each depends on each other, or one alone. A
 * component comes after those it depends on. Tarjan's algorithm, with a stack of its own: chains may be long.
 */
export function components(graph: Digraph): number[][] {
  const found: number[][] = [];
  const order = new Int32Array(graph.size).fill(-1);
  const lowest = new Int32Array(graph.size);
  const open = new Uint8Array(graph.size);
  const stack: number[] = [];
  let visited = 0;
  for (let root = 0; root < graph.size; root++) {
    if (order[root] !== -1) continue;
    const calls: { number: number; next: number }[] = [];
    const enter = (number: number) => {
      order[number] = lowest[number] = visited++;
      open[number] = 1;
      stack.push(number);
      calls.push({ number, next: 0 });
    };
    const settle = (number: number, other: number) => {
      lowest[number] = Math.min(lowest[number] as number, other);
    };
    enter(root);
    for (let call = calls.at(-1); call; call = calls.at(-1)) {
      const { number } = call;
      const needed = graph.neededBy(number)[call.next++];
      if (needed !== undefined) {
        if (order[needed] === -1) enter(needed);
        else if (open[needed]) settle(number, order[needed] as number);
        continue;
      }
      calls.pop();
      const caller = calls.at(-1);
      if (caller) settle(caller.number, lowest[number] as number);
      if (lowest[number] !== order[number]) continue;
      const component = stack.splice(stack.lastIndexOf(number));
      for (const member of component) open[member] = 0;
      found.push(component.sort((a, b) => a - b));
    }
  }
  return found;
}

/** Whether services of a component need each other, or the only one needs itself. */
export function isLoop(graph: Digraph, component: readonly number[]): boolean {
  const [only = -1] = component;
  return component.length > 1 || graph.neededBy(only).includes(only);
}

/**
 * Cycles of a component so that every service of it is on one: each is the shortest through the first service that
 * was on none before. The shortest first, as names, the first name again at the end; at most `limit`.
 */
export function loopsOf(graph: Digraph, component: readonly number[], limit: number): string[][] {
  const inside = new Set(component);
  const told = new Set<number>();
  const loops: number[][] = [];
  for (const start of component) {
    if (told.has(start) || loops.length === limit) continue;
    const loop = shortestLoop(graph, start, inside);
    for (const number of loop) told.add(number);
    loops.push(loop);
  }
  return loops
    .sort((a, b) => a.length - b.length)
    .map((loop) => [...loop, loop[0] as number].map((number) => graph.nameOf(number)));
}

/** The services of the shortest cycle through a service, from it on. */
function shortestLoop(graph: Digraph, start: number, inside: ReadonlySet<number>): number[] {
  const from = new Map<number, number>();
  const queue = [start];
  for (const here of queue) {
    for (const next of graph.neededBy(here)) {
      if (next === start) return trail(here, start, from);
      if (!inside.has(next) || from.has(next)) continue;
      from.set(next, here);
      queue.push(next);
    }
  }
  return [];
}

function trail(end: number, start: number, from: ReadonlyMap<number, number>): number[] {
  const loop = [end];
  for (let here = end; here !== start; loop.push(here)) here = from.get(here) ?? start;
  return loop.reverse();
}
