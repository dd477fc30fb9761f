import { bareDeployment } from './bare-deployment.ts';
import { type CompiledPolicy, compile } from './compile.ts';
import { coverHosts, coverPorts, coverPrefixes } from './cover.ts';
import { type CallChange, diffCalls } from './diff-calls.ts';
import { writtenLimits } from './limits.ts';
import type { Deployment, Match, Policy, Service } from './policy.ts';
import { writtenRoles } from './roles.ts';

/** How two policies differ in meaning; order, comments and ways of writing the same are no difference. */
export interface PolicyDiff {
  /** Whatever the deployment. */
  readonly floor: readonly CallChange[];
  /** Settings of the whole policy. */
  readonly settings: readonly SettingChange[];
  readonly services: readonly ObjectDiff[];
  readonly deployments: readonly DeploymentDiff[];
}

export interface ObjectDiff {
  readonly name: string;
  readonly state: 'added' | 'removed' | 'changed';
  /** Empty unless changed. */
  readonly settings: readonly SettingChange[];
}

export interface DeploymentDiff extends ObjectDiff {
  /** Empty unless changed. */
  readonly calls: readonly CallChange[];
}

export interface SettingChange {
  /** The key, as in the policy language. */
  readonly setting: string;
  /** In the policy language; null: not set. */
  readonly before: string | null;
  readonly after: string | null;
}

/** Compares two policies as they are at this moment: waivers lapse. */
export function diffPolicies(before: Policy, after: Policy, now: Date): PolicyDiff {
  return {
    floor: diffCalls(compileAt(onlyFloor(before), FLOOR, now), compileAt(onlyFloor(after), FLOOR, now)),
    settings: changedSettings(writtenRoles(before.roles), writtenRoles(after.roles)),
    services: diffObjects(before.services, after.services, serviceSettings),
    deployments: diffObjects(before.deployments, after.deployments, deploymentSettings, (name) =>
      diffCalls(compileAt(before, name, now), compileAt(after, name, now)),
    ),
  };
}

export function isSame({ floor, settings, services, deployments }: PolicyDiff): boolean {
  return floor.length + settings.length + services.length + deployments.length === 0;
}

function compileAt(policy: Policy, deployment: string, now: Date): CompiledPolicy {
  const none = { allow: [], deny: [], default: null, mode: null, ownAddresses: [] };
  return compile(policy, { ...none, deployment, now });
}

const FLOOR = 'floor';

/** A policy whose one deployment adds nothing to the floor. */
function onlyFloor(policy: Policy): Policy {
  const bare: Deployment = { ...bareDeployment(FLOOR, []), default: 'allow' };
  return { ...policy, deployments: new Map([[FLOOR, bare]]) };
}

function diffObjects<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  settingsOf: (object: T) => Record<string, string | null>,
  callsOf: (name: string) => CallChange[] = () => [],
): DeploymentDiff[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name): DeploymentDiff[] => {
    const [was, is] = [before.get(name), after.get(name)];
    if (!was || !is) return [{ name, state: was ? 'removed' : 'added', settings: [], calls: [] }];
    const settings = changedSettings(settingsOf(was), settingsOf(is));
    const calls = callsOf(name);
    return settings.length + calls.length > 0 ? [{ name, state: 'changed', settings, calls }] : [];
  });
}

function changedSettings(
  before: Record<string, string | null>,
  after: Record<string, string | null>,
): SettingChange[] {
  const settings = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...settings]
    .map((setting) => ({ setting, before: before[setting] ?? null, after: after[setting] ?? null }))
    .filter((change) => change.before !== change.after);
}

function serviceSettings(service: Service): Record<string, string | null> {
  return {
    hosts: listed(coverHosts(service.hosts)),
    addresses: listed(coverPrefixes(service.addresses)),
    ports: service.ports && listed(coverPorts(service.ports)),
    depends_on: listed(service.dependsOn),
    owner: service.owner,
    instead: service.instead,
    proxy: service.proxy ? 'true' : null,
    sniff: service.sniff ? 'true' : null,
  };
}

function deploymentSettings(deployment: Deployment): Record<string, string | null> {
  const { dns, waivers, staged } = deployment;
  const limits = writtenLimits(deployment.limits);
  const waived: Record<string, string> = {};
  for (const { service, until, owner, reason } of waivers) {
    const key = `waiver of ${service}`;
    // The first in force counts.
    const earlier = waived[key] === undefined ? [] : [waived[key]];
    waived[key] = [...earlier, [`until ${until.text}`, owner, reason].filter(Boolean).join(', ')].join('; ');
  }
  return {
    deploys: listed(deployment.deploys),
    mode: deployment.mode,
    default: deployment.default,
    circular: deployment.circular,
    on_deny: deployment.onDeny,
    'dns.service': dns.service,
    // In this order they are asked.
    'dns.servers': dns.servers?.join(', ') ?? null,
    'dns.on_deny': dns.onDeny,
    staged: staged?.path ?? null,
    'limits.cpu': limits.cpu,
    'limits.memory': limits.memory,
    'limits.tasks': limits.tasks,
    ...matchSettings(deployment.match),
    ...writtenRoles(deployment.roles),
    ...Object.fromEntries(
      [...deployment.delegates].map(([name, { answer }]) => [`delegate.${name}`, answer]),
    ),
    observe_units: deployment.observeUnits ? 'true' : null,
    ...waived,
  };
}

function matchSettings({ patterns, required }: Match): Record<string, string | null> {
  const of = (kind: Match['patterns'][number]['kind']) =>
    listed(patterns.filter((pattern) => pattern.kind === kind).map(({ text }) => text));
  return {
    'match.units': of('unit'),
    'match.slices': of('slice'),
    'match.cgroups': of('cgroup'),
    'match.required': patterns.length > 0 ? String(required) : null,
  };
}

function listed(values: readonly string[]): string | null {
  return values.length > 0 ? [...new Set(values)].sort().join(', ') : null;
}
