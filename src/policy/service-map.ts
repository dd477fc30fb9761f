import type {
  Declaration,
  Gate,
  MappedDeployment,
  MappedService,
  ServiceMap,
} from '../graph/service-graph.ts';
import { builtinServices } from './builtin.ts';
import { type CompiledPolicy, compile, patternsOf } from './compile.ts';
import { judge, select } from './evaluate.ts';
import { indexServices, openedServices, standInFor, standInsOf } from './opened.ts';
import type { Pattern } from './pattern-index.ts';
import { pieces } from './pieces.ts';
import type { Deployment, Policy, Service } from './policy.ts';
import type { StandIns } from './stand-in.ts';

/** The policy as the graph sees it; what its deployments may call is what the guard would let them, at this moment. */
export function serviceMap(policy: Policy, now: Date): ServiceMap {
  const all = new Map([...builtinServices, ...policy.services]);
  const index = indexServices(all.values());
  const standIns = standInsOf(policy);
  const deployments = new Map<string, MappedDeployment>(
    [...policy.deployments.values()].map((deployment) => {
      const options = { allow: [], deny: [], default: null, mode: null, ownAddresses: [], now };
      const compiled = compile(policy, { deployment: deployment.name, ...options });
      const needs = [...openedServices(compiled, index, standIns), ...resolver(deployment)].map((need) => ({
        ...need,
        declaration: withDay(need.declaration, deployment),
      }));
      const { name, source, deploys } = deployment;
      return [name, { name, source, deploys, needs, gateOf: gates(compiled, all, standIns) }];
    }),
  );
  // A built-in service is in the picture where somebody needs it.
  const needed = new Set(
    [...deployments.values()].flatMap(({ needs }) => needs.map(({ service }) => service)),
  );
  const shown = [...all.values()].filter(({ name }) => policy.services.has(name) || needed.has(name));
  return { services: new Map(shown.map((service) => [service.name, mapped(service)])), deployments };
}

function mapped({ name, owner, source, dependsOn }: Service): MappedService {
  return { name, owner, source, dependsOn };
}

/** Lookups of its runs are sent to it. */
function resolver({ dns, source }: Deployment): MappedDeployment['needs'] {
  if (dns.service === null) return [];
  return [{ service: dns.service, declaration: { as: 'dns', source, until: null } }];
}

function withDay(declaration: Declaration, { waivers }: Deployment): Declaration {
  if (declaration.as !== 'waiver') return declaration;
  const waiver = waivers.find(({ source }) => source === declaration.source);
  return { ...declaration, until: waiver?.until.text ?? null };
}

/** What becomes of calls to a service, by the guard's word on what stands for each of its patterns. */
function gates(
  policy: CompiledPolicy,
  services: ReadonlyMap<string, Service>,
  standIns: StandIns,
): (service: string) => Gate {
  const waived = new Set<string | null>();
  const closed = new Set<string | null>();
  for (const { rule } of policy.tiers.flatMap((tier) => tier.clauses))
    if (rule.kind === 'waiver') waived.add(rule.service);
    else if (rule.kind === 'circular') closed.add(rule.service);
  const isOpen = (pattern: Pattern): boolean => {
    const identities = standInFor(standIns, pattern);
    if (!identities) return false;
    const tiers = select(policy, identities);
    return pieces(tiers).some(
      ({ protocol, from }) => judge(policy, tiers, identities, protocol, from).answer !== 'deny',
    );
  };
  return (name) => {
    const service = services.get(name);
    const patterns = service ? patternsOf(service) : [];
    if (patterns.length === 0) return 'unknowable';
    // What circular closes is closed whole, and nothing above it opens.
    if (!closed.has(name) && patterns.some(isOpen)) return waived.has(name) ? 'waived' : 'let-through';
    return policy.mode === 'audit' ? 'recorded' : 'denied';
  };
}
