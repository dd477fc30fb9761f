import type { CompiledPolicy } from './compile.ts';
import { evaluate } from './evaluate.ts';
import { compileAlone } from './inspect-rules.ts';
import type { Deployment } from './policy.ts';
import { fault, type Problem } from './problem.ts';
import { type Inspected, warningAt } from './whereabouts.ts';

const DAY_MS = 24 * 3_600_000;
const SOON_DAYS = 14;
const DNS_PORT = 53;

/** Waivers that end, servers that are circular, and circular services the guard cannot wholly close. */
export function inspectDeployments(inspected: Inspected): Problem[] {
  const { policy, now } = inspected;
  /** By circular service, the deployments it is not wholly closed to. */
  const unnamed = new Map<string, string[]>();
  const walkable = new Map<string, string[]>();
  const problems = [...policy.deployments.values()].flatMap((deployment) => {
    const compiled = compileAlone(policy, deployment, now);
    for (const service of circularServices(inspected, deployment, compiled)) {
      const { hosts, addresses, name } = service;
      if (addresses.length > 0) continue;
      if (hosts.length === 0) note(unnamed, name, deployment.name);
      else if (compiled.fallback.answer === 'allow') note(walkable, name, deployment.name);
    }
    return [...waivers(inspected, deployment), ...servers(inspected, deployment, compiled)];
  });
  return [
    ...problems,
    ...aboutServices(inspected, 'nameless-service', unnamed, NAMELESS),
    ...aboutServices(inspected, 'walkable-service', walkable, WALKABLE),
  ];
}

const NAMELESS =
  'has no hosts and no addresses: no call to it can be told from others, so none is denied for that';
/** docs/policy.md, First bytes. */
const WALKABLE =
  'has no addresses, where what no rule names is allowed: a connection straight to its address is let through unless its first bytes name it (TLS, HTTP/1), so ssh, TLS without a server name and UDP are';

function note(map: Map<string, string[]>, service: string, deployment: string): void {
  map.set(service, [...(map.get(service) ?? []), deployment]);
}

function aboutServices(
  { whereabouts }: Inspected,
  code: 'nameless-service' | 'walkable-service',
  found: ReadonlyMap<string, readonly string[]>,
  why: string,
): Problem[] {
  return [...found].flatMap(([service, deployments]) => {
    const at = whereabouts.service(service);
    const to = deployments.map((name) => `\`${name}\``).join(', ');
    const message = `\`${service}\` is circular to deployment ${to} and ${why}`;
    return at ? [warningAt(at, fault(code, message), 'key')] : [];
  });
}

/** The services closed to a deployment; a service without patterns is in no rule, and known by its path alone. */
function circularServices({ policy }: Inspected, deployment: Deployment, compiled: CompiledPolicy) {
  const closed = new Set(deployment.circular === 'off' ? [] : compiled.paths.keys());
  for (const { rule } of compiled.tiers.flatMap(({ clauses }) => clauses))
    if (rule.kind === 'waiver' && rule.service !== null) closed.delete(rule.service);
  return [...closed].flatMap((name) => policy.services.get(name) ?? []);
}

function waivers({ policy, whereabouts, now }: Inspected, { name }: Deployment): Problem[] {
  const { waivers: all = [] } = policy.deployments.get(name) ?? {};
  return all.flatMap(({ service, until }, i) => {
    const at = whereabouts.deployment(name, 'waivers', i, 'until');
    const left = until.end - now.getTime();
    if (!at || left > SOON_DAYS * DAY_MS) return [];
    if (left <= 0) {
      const message = `the waiver of \`${service}\` has lapsed: calls to it are denied since the end of ${until.text} (UTC)`;
      return [warningAt(at, fault('lapsed-waiver', message))];
    }
    const days = Math.floor(left / DAY_MS);
    const when = days === 0 ? 'today' : `in ${days} day${days === 1 ? '' : 's'}`;
    const message = `the waiver of \`${service}\` lapses ${when}: from the end of ${until.text} (UTC) calls to it are denied`;
    return [warningAt(at, fault('lapsing-waiver', message))];
  });
}

/** Servers given by address may be those of a circular service as well. */
function servers({ whereabouts }: Inspected, { name, dns }: Deployment, compiled: CompiledPolicy): Problem[] {
  return (dns.servers ?? []).flatMap((address, i) => {
    const { rule, cycle } = evaluate(compiled, { address, names: [], port: DNS_PORT, protocol: 'udp' });
    const at = whereabouts.deployment(name, 'dns', 'servers', i);
    if (rule.kind !== 'circular' || !cycle || !at) return [];
    const message = `the DNS server is of \`${rule.service}\`, which is circular: ${cycle.join(' → ')}`;
    return [warningAt(at, fault('circular-resolver', message))];
  });
}
