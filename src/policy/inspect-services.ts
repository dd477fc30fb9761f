import { components, isLoop, loopsOf } from '../graph/components.ts';
import { type Cut, cheapestCuts } from '../graph/cuts.ts';
import { Digraph } from '../graph/digraph.ts';
import { pathsTo } from '../graph/paths.ts';
import type { HostPattern } from './pattern.ts';
import type { Policy, Rule } from './policy.ts';
import { fault, type Problem } from './problem.ts';
import { isPublic } from './public-suffix.ts';
import { type Inspected, type Whereabout, warningAt } from './whereabouts.ts';

/** The most cycles told of services that all depend on each other. */
const MOST_LOOPS = 20;

/** Cycles of services, services nobody uses, and patterns as wide as a registry. */
export function inspectServices(inspected: Inspected): Problem[] {
  return [...cycles(inspected), ...unused(inspected), ...wide(inspected)];
}

function cycles({ policy, whereabouts }: Inspected): Problem[] {
  const graph = new Digraph(dependenciesOf(policy));
  return components(graph)
    .filter((component) => isLoop(graph, component))
    .flatMap((component) => {
      const loops = loopsOf(graph, component, MOST_LOOPS);
      const edges = loops.map((loop) => loop.slice(1).map((to, i) => ({ from: loop[i] ?? '', to })));
      const cuts = cheapestCuts(edges, ({ from, to }) => `${from} ${to}`);
      return loops.flatMap((loop, i) => {
        const [first = '', second = ''] = loop;
        const needed = policy.services.get(first)?.dependsOn.indexOf(second) ?? 0;
        const at = whereabouts.service(first, 'depends_on', needed);
        const cut = cuts.find(({ edge }) =>
          edges[i]?.some(({ from, to }) => from === edge.from && to === edge.to),
        );
        const message = `services depend on each other in a circle: ${loop.join(' → ')}${cutText(cut, loops.length)}`;
        return at ? [warningAt(at, fault('service-cycle', message))] : [];
      });
    });
}

function cutText(cut: Cut<{ from: string; to: string }> | undefined, loops: number): string {
  if (!cut) return '';
  const gone = loops === 1 ? '' : `, which breaks ${cut.breaks} of ${loops} such circles`;
  return `; the cheapest edge to cut is ${cut.edge.from} → ${cut.edge.to}${gone}`;
}

function dependenciesOf({ services }: Policy): ReadonlyMap<string, readonly string[]> {
  return new Map([...services].map(([name, { dependsOn }]) => [name, dependsOn]));
}

/** No rule or deployment names it, nothing depends on it, and it depends on nothing that is deployed. */
function unused({ policy, whereabouts }: Inspected): Problem[] {
  const deployments = [...policy.deployments.values()];
  const rules: readonly Rule[] = [...policy.floor, ...deployments.flatMap((deployment) => deployment.rules)];
  const used = new Set([
    ...rules.flatMap(({ service }) => service ?? []),
    ...deployments.flatMap(({ deploys, dns }) => [
      ...deploys,
      ...(dns.service === null ? [] : [dns.service]),
    ]),
    ...deployments.flatMap(({ waivers }) => waivers.map(({ service }) => service)),
    ...[...policy.services.values()].flatMap(({ dependsOn }) => dependsOn),
    ...pathsTo(
      deployments.flatMap(({ deploys }) => deploys),
      dependenciesOf(policy),
    ).keys(),
  ]);
  return [...policy.services.values()].flatMap(({ name, proxy, sniff }) => {
    const at = whereabouts.service(name);
    if (used.has(name) || proxy || sniff || !at) return [];
    const message = `nothing uses service \`${name}\`: no rule, deployment or service names it, and it depends on nothing that is deployed`;
    return [warningAt(at, fault('unused-service', message), 'key')];
  });
}

/** Patterns of services, and of rules that open, that hold names anybody may register. */
function wide({ policy, whereabouts }: Inspected): Problem[] {
  const doubt = (at: Whereabout | null, host: HostPattern): Problem[] => {
    if (!at || !isPublic(host)) return [];
    const what = host.kind === 'any' ? 'every name' : 'names that anybody may register';
    return [warningAt(at, fault('public-suffix', `\`${host.text}\` holds ${what}`))];
  };
  const services = [...policy.services.values()].flatMap(({ name, hosts }) =>
    hosts.flatMap((host, i) => doubt(whereabouts.service(name, 'hosts', i), host)),
  );
  const rules = [...policy.deployments.values()].flatMap((deployment) =>
    whereabouts.rules(policy, deployment).flatMap(({ rule: { answer, host, address }, at }) => {
      if (!host || address || answer === 'deny') return [];
      return doubt({ ...at, path: [...at.path, 'host'] }, host);
    }),
  );
  return [...services, ...rules];
}
