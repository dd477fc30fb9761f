import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bringUpOrder } from './bring-up.ts';
import { deploymentCycles, otherLoops, standingCycle } from './deployment-cycles.ts';
import { firstNeeds, impactOf, wayBetween } from './needs.ts';
import type { ObservedEdge } from './observed.ts';
import {
  callerKey,
  type Edge,
  type Gate,
  isUndeclared,
  type MappedDeployment,
  neverSeen,
  ServiceGraph,
} from './service-graph.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'] as const;
const TIMES = { first: '2026-11-01T00:00:00Z', last: '2026-11-02T00:00:00Z' };
const name = fc.constantFrom(...NAMES);

/** Up to five services, two deployments of them, and some calls that were seen. */
const parts = fc.record({
  dependsOn: fc.array(fc.uniqueArray(name, { maxLength: 2 }), { minLength: 5, maxLength: 5 }),
  deployments: fc.array(
    fc.record({
      deploys: fc.uniqueArray(name, { minLength: 1, maxLength: 2 }),
      needs: fc.uniqueArray(name, { maxLength: 2 }),
    }),
    { minLength: 1, maxLength: 2 },
  ),
  seen: fc.array(
    fc.record({
      kind: fc.constantFrom('deployment' as const, 'service' as const),
      from: fc.nat(4),
      to: name,
      calls: fc.nat(1),
    }),
    { maxLength: 4 },
  ),
});
type Parts = typeof parts extends fc.Arbitrary<infer T> ? T : never;

function graphOf({ dependsOn, deployments, seen }: Parts): ServiceGraph {
  const gateOf = (): Gate => 'let-through';
  return new ServiceGraph(
    {
      services: new Map(
        NAMES.map((one, i) => [
          one,
          { name: one, owner: null, source: 'p:1', dependsOn: dependsOn[i] ?? [] },
        ]),
      ),
      deployments: new Map(
        deployments.map(({ deploys, needs }, i) => {
          const declaration = { as: 'allow', source: 'p:2', until: null } as const;
          const all = needs.map((service) => ({ service, declaration }));
          return [`D${i}`, { name: `D${i}`, source: 'p:3', deploys, needs: all, gateOf }];
        }),
      ),
    },
    seen.map(({ kind, from, to, calls }): ObservedEdge => {
      const caller = kind === 'service' ? (NAMES[from] ?? 'a') : `D${from % deployments.length}`;
      return { from: { kind, name: caller }, to, host: 'h', calls, denied: 1 - calls, ...TIMES };
    }),
  );
}

/** Who needs whom in the plain data: services by themselves, deployments by what they call and what they deploy. */
function plain({ dependsOn, deployments, seen }: Parts) {
  const needed = (kind: 'service' | 'deployment', who: string) =>
    seen.flatMap(({ kind: other, from, to, calls }) => {
      const caller = other === 'service' ? NAMES[from] : `D${from % deployments.length}`;
      return other === kind && caller === who && calls > 0 ? [to as string] : [];
    });
  const services = new Map(
    NAMES.map((one, i) => [
      one as string,
      new Set<string>([...(dependsOn[i] ?? []), ...needed('service', one)]),
    ]),
  );
  const first = deployments.map(({ deploys, needs }, i) => {
    const own = [
      ...needs,
      ...needed('deployment', `D${i}`),
      ...deploys.flatMap((one) => [...(services.get(one) ?? [])]),
    ];
    return new Set(own.filter((one) => !deploys.some((deployed) => deployed === one)));
  });
  return { services, first };
}

/** Every path without a repetition from a service to one of `ends`, by trying each; past none of them. */
function everyPath(
  services: ReadonlyMap<string, ReadonlySet<string>>,
  from: string,
  ends: readonly string[],
): string[][] {
  const walk = (path: string[]): string[][] => {
    const here = path[path.length - 1] ?? '';
    if (ends.includes(here)) return [path];
    return [...(services.get(here) ?? [])].flatMap((next) =>
      path.includes(next) ? [] : walk([...path, next]),
    );
  };
  return walk([from]);
}

const isJoined = (edges: readonly Edge[]) =>
  edges.every((edge, i) => i === 0 || edge.from.name === edges[i - 1]?.to);
const shortest = (paths: readonly (readonly string[])[]) =>
  paths.length === 0 ? null : Math.min(...paths.map((path) => path.length));

describe('against a model that tries everything, on random services, deployments and calls', () => {
  test('what a deployment needs first, and which could not run if a service were down', () => {
    fc.assert(
      fc.property(parts, name, (given, down) => {
        const graph = graphOf(given);
        const { services, first } = plain(given);
        const impacts = impactOf(graph, down);
        const expected = first.flatMap((needs, i) => {
          const paths = [...needs].flatMap((need) => everyPath(services, need, [down]));
          return paths.length > 0 ? [{ name: `D${i}`, steps: shortest(paths) }] : [];
        });
        expect(
          [...graph.deployments.values()].map((one) => new Set(firstNeeds(graph, one).map(({ to }) => to))),
        ).toEqual(first);
        expect(
          impacts.map(({ deployment, steps }) => ({ name: deployment.name, steps: steps.length })),
        ).toEqual(expected);
        for (const { steps } of impacts) {
          expect(isJoined(steps)).toBe(true);
          expect(steps.at(-1)?.to).toBe(down);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('the way from one service to another is as short as any, and found exactly if there is one', () => {
    fc.assert(
      fc.property(parts, name, name, (given, from, to) => {
        const { services } = plain(given);
        const way = wayBetween(graphOf(given), from, to);
        const paths = [...(services.get(from) ?? [])].flatMap((next) => everyPath(services, next, [to]));
        expect(way?.length ?? null).toBe(shortest(paths));
        if (way) expect([way[0]?.from.name, way.at(-1)?.to, isJoined(way)]).toEqual([from, to, true]);
      }),
      { numRuns: 2000 },
    );
  });

  test('cycles through a deployment are those that are there and those a call would close', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const graph = graphOf(given);
        const { services } = plain(given);
        for (const [i, deployment] of [...graph.deployments.values()].entries()) {
          const { deploys } = deployment;
          const free = NAMES.filter((one) => !deploys.includes(one));
          const all = free.flatMap((one) => everyPath(services, one, deploys));
          const { cycles } = deploymentCycles(graph, deployment, 1000);
          expect(cycles.map(({ path }) => path.slice(1).join()).sort()).toEqual(
            all.map((path) => path.join()).sort(),
          );
          expect(cycles.every(({ path }) => deploys.includes(path[0] ?? ''))).toBe(true);
          const called = given.seen.filter((one) => one.kind === 'deployment' && one.calls > 0);
          const begun = new Set([
            ...called
              .filter((one) => one.from % given.deployments.length === i)
              .map(({ to }) => to as string),
            ...deploys.flatMap((one) => [...(services.get(one) ?? [])]),
          ]);
          const standing = all.filter(([first = '']) => begun.has(first));
          expect(cycles.filter((one) => one.standing === 'standing').length).toBe(standing.length);
          expect(standingCycle(graph, deployment)?.path.length ?? null).toBe(
            standing.length === 0 ? null : (shortest(standing) ?? 0) + 1,
          );
        }
        const deployed = [...graph.deployments.values()].flatMap(({ deploys }) => deploys);
        const rest = new Map([...services].filter(([one]) => !deployed.includes(one)));
        const loops = [...rest.keys()].some((one) =>
          [...(rest.get(one) ?? [])].some(
            (next) => rest.has(next) && everyPath(rest, next, [one]).length > 0,
          ),
        );
        expect(otherLoops(graph, 100).loops.length > 0).toBe(loops);
      }),
      { numRuns: 2000 },
    );
  });

  test('restoring: everything once, and what is needed at an earlier stage or in the same knot', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const graph = graphOf(given);
        const steps = bringUpOrder(graph);
        const parties = steps.flatMap((step) => step.parties.map(callerKey));
        expect(parties.sort()).toEqual(
          [
            ...NAMES.map((one) => `service ${one}`),
            ...given.deployments.map((_, i) => `deployment D${i}`),
          ].sort(),
        );
        const stepOf = new Map(
          steps.flatMap((step) => step.parties.map((party) => [callerKey(party), step] as const)),
        );
        const comesAfter = (party: string, needed: string) => {
          const [one, other] = [stepOf.get(party), stepOf.get(needed)];
          expect(one === other ? (one?.loops.length ?? 0) > 0 : (other?.stage ?? 9) < (one?.stage ?? 0)).toBe(
            true,
          );
        };
        const { services } = plain(given);
        for (const [one, needed] of services)
          for (const other of needed) comesAfter(`service ${one}`, `service ${other}`);
        for (const [i, { deploys, needs }] of given.deployments.entries()) {
          for (const deployed of deploys) comesAfter(`service ${deployed}`, `deployment D${i}`);
          for (const need of needs)
            if (!deploys.includes(need)) comesAfter(`deployment D${i}`, `service ${need}`);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

const map = (deployment: Partial<MappedDeployment> = {}) => ({
  services: new Map(
    Object.entries({ mysql: [], github: ['mysql'], migrations: [] as string[], mirror: [] }).map(
      ([one, dependsOn]) => [one, { name: one, owner: null, source: 'p:1', dependsOn }],
    ),
  ),
  deployments: new Map([
    [
      'mysql',
      {
        name: 'mysql',
        source: 'p:9',
        deploys: ['mysql'],
        needs: [],
        gateOf: (): Gate => 'denied',
        ...deployment,
      },
    ],
  ]),
});
const seen = (kind: 'deployment' | 'service', from: string, to: string, calls = 1): ObservedEdge => ({
  ...{ from: { kind, name: from }, to, host: 'h', calls, denied: calls === 0 ? 1 : 0 },
  ...TIMES,
});

describe('what was seen', () => {
  const gateOf = (service: string): Gate => (service === 'github' ? 'denied' : 'recorded');

  test('closes a cycle that nobody declared: deploy, migrations, github, mysql', () => {
    const graph = new ServiceGraph(map({ gateOf }), [
      seen('deployment', 'mysql', 'migrations'),
      seen('service', 'migrations', 'github'),
    ]);
    const [mysql] = graph.deployments.values();
    if (!mysql) throw new Error('no deployment');
    expect(standingCycle(graph, mysql)?.path).toEqual(['mysql', 'migrations', 'github', 'mysql']);
    expect(
      deploymentCycles(graph, mysql, 9).cycles.map(({ path, standing }) => [path.length, standing]),
    ).toEqual([
      [3, 'denied'],
      [4, 'standing'],
    ]);
  });

  test.each([
    ['was only ever stopped', 0],
    ['is denied by now', 1],
  ])('and %s is no dependency', (_, calls) => {
    const graph = new ServiceGraph(map({ gateOf }), [seen('deployment', 'mysql', 'github', calls)]);
    const [mysql] = graph.deployments.values();
    if (!mysql) throw new Error('no deployment');
    expect(graph.edges().map(({ deniedNow }) => deniedNow)).toEqual([false, calls > 0]);
    expect(standingCycle(graph, mysql)).toBeNull();
    expect(impactOf(graph, 'github')).toEqual([]);
    expect(deploymentCycles(graph, mysql, 9).cycles.map(({ standing }) => standing)).toEqual(['denied']);
  });

  test('is told apart from what is declared: seen and undeclared, declared and never seen, of callers that were watched', () => {
    const declaration = { as: 'allow', source: 'p:3', until: null } as const;
    const needs = [{ service: 'mirror', declaration }];
    const graph = new ServiceGraph(map({ needs }), [seen('deployment', 'mysql', 'migrations')]);
    const told = graph
      .edges()
      .map((edge) => [edge.from.name, edge.to, isUndeclared(graph, edge), neverSeen(graph, edge)]);
    expect(told).toEqual([
      ['github', 'mysql', false, null],
      ['mysql', 'mirror', false, true],
      ['mysql', 'migrations', true, null],
    ]);
  });

  test('of services and deployments the policy does not have is in the graph', () => {
    const graph = new ServiceGraph(map(), [
      seen('service', 'ghost', 'github'),
      seen('deployment', 'github', 'mirror'),
    ]);
    expect(graph.services.get('ghost')?.source).toBeNull();
    expect(graph.deployments.get('github')?.deploys).toEqual(['github']);
  });
});
