import { cyclesOf } from './compile.ts';
import type { Path } from './path.ts';
import type { Deployment, Service } from './policy.ts';
import { intersectPorts, type PortSpec, readPorts } from './ports.ts';
import { fault, isFault } from './problem.ts';
import type { ValueReader } from './read-rule.ts';
import type { DeploymentData } from './schema.ts';

/** What only shows with every service known: cycles of the resolver, waivers and rules that do nothing. */
export function checkDeployment(
  reader: ValueReader,
  deployment: Deployment,
  data: DeploymentData,
  services: ReadonlyMap<string, Service>,
): void {
  const at = ['deployments', deployment.name];
  const paths = deployment.circular === 'off' ? new Map() : cyclesOf(deployment, services);
  checkDns(reader, [...at, 'dns'], deployment, data, services, paths);
  for (const [i, { service }] of (data.waivers ?? []).entries()) {
    if (!services.has(service) || paths.has(service)) continue;
    const why =
      deployment.circular === 'off' ? '`circular` is off' : 'it does not depend on what is deployed';
    const found = fault('idle-waiver', `the waiver of \`${service}\` waives nothing: ${why}`);
    reader.complain([...at, 'waivers', i, 'service'], found, 'warning');
  }
  checkIds(reader, at, data);
  checkPorts(reader, at, data, services);
}

/** Lookups must have somewhere to go, and should not go to what is being deployed. */
function checkDns(
  reader: ValueReader,
  at: Path,
  { dns }: Deployment,
  data: DeploymentData,
  services: ReadonlyMap<string, Service>,
  paths: ReadonlyMap<string, readonly string[]>,
): void {
  if (data.dns?.service !== undefined && data.dns.servers !== undefined)
    reader.complain(at, fault('bad-value', '`dns` has a `service` or `servers`, not both'), 'error', 'key');
  const service = dns.service === null ? null : services.get(dns.service);
  if (!service) return;
  if (!service.addresses.some(({ length }) => length === 128)) {
    const message = `service \`${service.name}\` has no single address to send lookups to`;
    reader.complain([...at, 'service'], fault('bad-value', message));
  }
  const cycle = paths.get(service.name);
  if (!cycle) return;
  const message = `the DNS service is itself circular: ${cycle.join(' → ')}`;
  reader.complain([...at, 'service'], fault('circular-resolver', message), 'warning');
}

/** Ids are how people speak of rules: one in a deployment. */
function checkIds(reader: ValueReader, at: Path, data: DeploymentData): void {
  const first = new Map<string, string>();
  for (const list of ['allow', 'audit', 'deny'] as const)
    for (const [i, { id }] of (data[list] ?? []).entries()) {
      if (id === undefined) continue;
      const path = [...at, list, i, 'id'];
      const before = first.get(id);
      if (before)
        reader.complain(path, fault('duplicate-id', `the id \`${id}\` is used at ${before} already`));
      else first.set(id, reader.source(path));
    }
}

/** Warns of rules that open no port of their service. */
function checkPorts(
  reader: ValueReader,
  at: Path,
  data: DeploymentData,
  services: ReadonlyMap<string, Service>,
): void {
  for (const list of ['allow', 'audit'] as const)
    for (const [i, rule] of (data[list] ?? []).entries()) {
      const service = services.get(rule.service ?? '');
      const ports = rule.ports?.map(readPorts).filter((spec): spec is PortSpec => !isFault(spec)) ?? null;
      if (!service || intersectPorts(ports, service.ports)?.length !== 0) continue;
      const message = `the rule opens nothing: none of its ports is among those of service \`${service.name}\``;
      reader.complain([...at, list, i, 'ports'], fault('closed-ports', message), 'warning');
    }
}
