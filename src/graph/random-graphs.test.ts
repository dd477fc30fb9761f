import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { components } from './components.ts';
import { cheapestCuts } from './cuts.ts';
import { closings } from './cycles.ts';
import { type Dependencies, Digraph } from './digraph.ts';
import { pathsTo } from './paths.ts';
import { restoreOrder } from './restore.ts';

const RUNS = 3000;

/** Graphs of up to seven services, from none to nearly all edges there can be, loops of one service too. */
const graphs: fc.Arbitrary<Dependencies> = fc.integer({ min: 1, max: 7 }).chain((size) =>
  fc
    .array(
      fc.uniqueArray(fc.nat(size - 1), { maxLength: size }).map((needed) => needed.map((i) => `s${i}`)),
      { minLength: size, maxLength: size },
    )
    .map((rows) => new Map(rows.map((needed, i) => [`s${i}`, needed]))),
);
const withTargets = graphs.chain((graph) =>
  fc.record({ graph: fc.constant(graph), targets: fc.subarray([...graph.keys()], { minLength: 1 }) }),
);

/** Every path without a repeated service from one to the first target it meets, by trying each. */
function everyPath(graph: Dependencies, from: string, targets: readonly string[]): string[][] {
  const walk = (path: string[]): string[][] => {
    const here = path[path.length - 1] ?? '';
    if (targets.includes(here)) return [path];
    return (graph.get(here) ?? []).flatMap((next) => (path.includes(next) ? [] : walk([...path, next])));
  };
  return walk([from]);
}

/** Which service reaches which by at least one edge, by squaring until nothing changes. */
function closure(graph: Dependencies): Map<string, Set<string>> {
  const reached = new Map([...graph].map(([name, needed]) => [name, new Set(needed)]));
  for (let grown = true; grown; ) {
    grown = false;
    for (const set of reached.values())
      for (const via of [...set])
        for (const far of reached.get(via) ?? [])
          if (!set.has(far)) {
            set.add(far);
            grown = true;
          }
  }
  return reached;
}

const isPath = (graph: Dependencies, path: readonly string[]) =>
  path.every((name, i) => i === 0 || graph.get(path[i - 1] as string)?.includes(name));

describe('against a model that tries everything', () => {
  test('paths: who reaches a target, and by no path longer than need be', () => {
    fc.assert(
      fc.property(withTargets, ({ graph, targets }) => {
        const paths = pathsTo(targets, graph);
        for (const name of graph.keys()) {
          const all = targets.includes(name) ? [] : everyPath(graph, name, targets);
          const path = paths.get(name);
          expect(path?.length ?? null).toBe(
            all.length > 0 ? Math.min(...all.map((one) => one.length)) : null,
          );
          if (path) expect(all).toContainEqual(path);
        }
      }),
      { numRuns: RUNS },
    );
  });

  test('cycles: all of them, each once, the shortest first and then by rank; and the first so many', () => {
    const cases = fc.record({
      of: withTargets,
      limit: fc.integer({ min: 1, max: 12 }),
      ranks: fc.array(fc.nat(2), { minLength: 7, maxLength: 7 }),
    });
    fc.assert(
      fc.property(cases, ({ of: { graph, targets }, limit, ranks }) => {
        const entries = [...graph.keys()].map((service, i) => ({ service, rank: ranks[i] ?? 0 }));
        const expected = entries
          .filter(({ service }) => !targets.includes(service))
          .flatMap(({ service, rank }) => everyPath(graph, service, targets).map((path) => ({ path, rank })));
        const all = closings(new Digraph(graph), targets, entries, 100_000);
        const told = all.found.map(({ entry, path }) => ({ path, rank: entry.rank }));
        expect(new Set(told.map(({ path }) => path.join()))).toEqual(
          new Set(expected.map(({ path }) => path.join())),
        );
        expect(told.length).toBe(expected.length);
        expect(all.more).toBe(false);
        const key = (one: { path: readonly string[]; rank: number }) => one.path.length * 10 + one.rank;
        expect(told.map(key)).toEqual(expected.map(key).sort((a, b) => a - b));
        const some = closings(new Digraph(graph), targets, entries, limit);
        expect(some.found).toEqual(all.found.slice(0, limit));
        expect(some.more).toBe(expected.length > limit);
      }),
      { numRuns: RUNS },
    );
  });

  test('components: services that reach each other, and those they need come before', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const digraph = new Digraph(graph);
        const reached = closure(graph);
        const named = components(digraph).map((numbers) => numbers.map((number) => digraph.nameOf(number)));
        expect(named.flat().sort()).toEqual([...graph.keys()].sort());
        const place = new Map(named.flatMap((names, i) => names.map((name) => [name, i] as const)));
        for (const a of graph.keys())
          for (const b of graph.keys()) {
            const mutual = a === b || (reached.get(a)?.has(b) && reached.get(b)?.has(a));
            expect(place.get(a) === place.get(b)).toBe(mutual ?? false);
            if (!mutual && reached.get(a)?.has(b))
              expect(place.get(b) as number).toBeLessThan(place.get(a) as number);
          }
      }),
      { numRuns: RUNS },
    );
  });

  test('restore order: what is needed is there before, in the fewest stages; where it cannot be, the loops say why', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const steps = restoreOrder(graph);
        const reached = closure(graph);
        expect(steps.flatMap(({ names }) => names).sort()).toEqual([...graph.keys()].sort());
        const stepOf = new Map(steps.flatMap((step) => step.names.map((name) => [name, step] as const)));
        for (const step of steps) {
          const needed = step.names.flatMap((name) => graph.get(name) ?? []);
          const others = needed.flatMap((name) => stepOf.get(name) ?? []).filter((other) => other !== step);
          expect(step.stage).toBe(Math.max(0, ...others.map(({ stage }) => stage)) + 1);
          expect(step.loops.length > 0).toBe(step.names.some((name) => reached.get(name)?.has(name)));
          for (const loop of step.loops) {
            expect(loop[0]).toBe(loop.at(-1));
            expect(isPath(graph, loop)).toBe(true);
            expect(new Set(loop).size).toBe(loop.length - 1);
          }
          // Each service of the step is on a loop, which is as short as any through the service it begins with.
          if (step.loops.length > 0) expect(new Set(step.loops.flat())).toEqual(new Set(step.names));
          for (const [start = '', ...loop] of step.loops) {
            const ways = (graph.get(start) ?? []).flatMap((next) => everyPath(graph, next, [start]));
            expect(loop.length).toBe(Math.min(...ways.map((path) => path.length)));
          }
        }
        expect(steps.map(({ stage }) => stage)).toEqual(
          steps.map(({ stage }) => stage).sort((a, b) => a - b),
        );
      }),
      { numRuns: RUNS },
    );
  });

  test('cuts: together they break every cycle, and each breaks the most that are left', () => {
    const cycle = fc.uniqueArray(fc.nat(6), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(cycle, { maxLength: 8 }), (cycles) => {
        const cuts = cheapestCuts(cycles, String);
        let left = cycles;
        for (const { edge, breaks } of cuts) {
          const counts = [0, 1, 2, 3, 4, 5, 6].map(
            (other) => left.filter((one) => one.includes(other)).length,
          );
          expect(breaks).toBe(Math.max(...counts));
          expect(counts[edge]).toBe(breaks);
          left = left.filter((one) => !one.includes(edge));
        }
        expect(left).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });
});
