import type { CompiledPolicy } from './compile.ts';
import type { Deployment } from './policy.ts';
import { fault, type Problem } from './problem.ts';
import { type Inspected, warningAt } from './whereabouts.ts';

const MOST_NAMED = 3;

const NAMELESS =
  'has no hosts and no addresses: no call to it can be told from others, so none is denied for that';
/** docs/policy.md, First bytes. */
const WALKABLE =
  'has no addresses, where what no rule names is allowed: a connection straight to its address is let through unless its first bytes name it (TLS, HTTP/1), so ssh, TLS without a server name and UDP are';

/** Circular services the guard cannot wholly close, each with the deployments it is circular to. */
export class OpenServices {
  readonly nameless = new Map<string, string[]>();
  readonly walkable = new Map<string, string[]>();

  add(inspected: Inspected, deployment: Deployment, compiled: CompiledPolicy): void {
    for (const { name, hosts, addresses } of closedServices(inspected, deployment, compiled)) {
      if (addresses.length > 0) continue;
      const named = hosts.length > 0;
      if (named && compiled.fallback.answer === 'deny') continue;
      const found = named ? this.walkable : this.nameless;
      found.set(name, [...(found.get(name) ?? []), deployment.name]);
    }
  }
}

/** The services closed to a deployment; a service without patterns is in no rule, and known by its path alone. */
function closedServices({ policy }: Inspected, { circular }: Deployment, { paths, tiers }: CompiledPolicy) {
  const closed = new Set(circular === 'off' ? [] : paths.keys());
  for (const { rule } of tiers.flatMap(({ clauses }) => clauses))
    if (rule.kind === 'waiver' && rule.service !== null) closed.delete(rule.service);
  return [...closed].flatMap((name) => policy.services.get(name) ?? []);
}

export function inspectCircular({ whereabouts }: Inspected, { nameless, walkable }: OpenServices): Problem[] {
  const about = (
    code: 'nameless-service' | 'walkable-service',
    found: ReadonlyMap<string, readonly string[]>,
    why: string,
  ) =>
    [...found].flatMap(([service, deployments]) => {
      const at = whereabouts.service(service);
      const message = `\`${service}\` is circular to ${formatDeployments(deployments)} and ${why}`;
      return at ? [warningAt(at, fault(code, message), 'key')] : [];
    });
  return [...about('nameless-service', nameless, NAMELESS), ...about('walkable-service', walkable, WALKABLE)];
}

function formatDeployments(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMED).map((name) => `\`${name}\``);
  const left = names.length - shown.length;
  return `deployment ${shown.join(', ')}${left > 0 ? ` and ${left} more` : ''}`;
}
