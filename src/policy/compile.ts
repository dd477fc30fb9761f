import { pathsTo } from '../graph/paths.ts';
import { type Address, type Prefix, parsePrefix } from '../model/address.ts';
import type { DelegateName } from '../model/delegate.ts';
import { type Limits, NO_LIMITS } from '../model/limits.ts';
import type { Mode, RuleKind, RuleReference } from '../model/verdict.ts';
import { builtinServices } from './builtin.ts';
import { type CompiledDelegate, compileDelegates, sshdClauses } from './delegate.ts';
import type { DestPattern } from './dest.ts';
import { type LiveEntry, liveOf, liveRule } from './live.ts';
import { nearest } from './nearest.ts';
import { type Pattern, PatternIndex } from './pattern-index.ts';
import type { DenialErrno, Deployment, DnsDenial, Policy, Rule, Service } from './policy.ts';
import { intersectPorts } from './ports.ts';
import { type Clause, settleUnspecified, Tier } from './tier.ts';

/** What a run adds to the policy: its options, and the moment it starts. */
export interface CompileOptions {
  /** Null where there is no policy. */
  readonly deployment: string | null;
  readonly allow: readonly DestPattern[];
  readonly deny: readonly DestPattern[];
  /** In force now; one about a service that the policy does not have holds nothing. */
  readonly live?: readonly LiveEntry[];
  /** Null: the deployment's. */
  readonly default: 'allow' | 'deny' | null;
  /** Null: the deployment's; without a policy, audit. */
  readonly mode: Mode | null;
  /** Waivers are fixed at this moment. */
  readonly now: Date;
  /** This host's addresses, which count as loopback does. */
  readonly ownAddresses: readonly Address[];
}

/** A policy ready to judge, immutable. */
export interface CompiledPolicy {
  readonly deployment: string | null;
  readonly mode: Mode;
  readonly onDeny: DenialErrno;
  readonly dns: {
    /** Null: those of resolv.conf. */
    readonly servers: readonly Address[] | null;
    readonly onDeny: DnsDenial;
  };
  /** The deployment's. */
  readonly limits: Limits;
  /** What becomes of work handed to others on the host. */
  readonly delegates: ReadonlyMap<DelegateName, CompiledDelegate>;
  /** Whether units that the run sets going are audited. */
  readonly observeUnits: boolean;
  /**
   * Highest first: live deny and live allow where there are live entries; floor, --deny, circular, the deployment's
   * rules with --allow.
   */
  readonly tiers: readonly Tier[];
  /** Answers where no tier does. */
  readonly fallback: { readonly answer: 'allow' | 'deny'; readonly rule: RuleReference };
  readonly ownAddresses: ReadonlySet<Address>;
  /** Clauses of every service, to find the one a destination belongs to. */
  readonly services: Tier;
  /** Services with `proxy: true`, at their ports. */
  readonly proxies: Tier;
  /** Services with `sniff: true`, at their ports. */
  readonly sniffers: Tier;
  /**
   * From the deployment back to itself by way of each service that needs it, whether that is denied or not: the
   * deployed service, then the shortest path to it.
   */
  readonly paths: ReadonlyMap<string, readonly string[]>;
  /** Whether it can deny anything at all. */
  readonly denies: boolean;
  /** Whether a rule denies by name. */
  readonly deniesNames: boolean;
}

/** The policy cannot be put to this use. */
class CompileFailure extends Error {
  readonly code = 'policy';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.name = 'CompileFailure';
    this.remedy = remedy;
  }
}

/** Compiles a policy for one run; a null policy observes. Throws CompileFailure. */
export function compile(policy: Policy | null, options: CompileOptions): CompiledPolicy {
  const deployment = policy && findDeployment(policy, options.deployment);
  const services = new Map([...builtinServices, ...(policy?.services ?? [])]);
  const paths = deployment ? cyclesOf(deployment, services) : new Map<string, readonly string[]>();
  const optionClauses = (dests: readonly DestPattern[], answer: 'allow' | 'deny') =>
    dests.flatMap((dest) =>
      clausesOf(optionRule(dest, answer), 'option', services, `--${answer} ${dest.text}`),
    );
  const delegates = compileDelegates(deployment);
  const clauses = {
    floor: (policy?.floor ?? []).flatMap((rule) => clausesOf(rule, 'floor', services)),
    options: optionClauses(options.deny, 'deny'),
    circular: deployment ? circularClauses(deployment, services, paths, options.now) : [],
    rules: [
      ...(deployment?.rules ?? []).flatMap((rule) => clausesOf(rule, rule.answer, services)),
      ...optionClauses(options.allow, 'allow'),
      ...sshdClauses(delegates.get('sshd'), options.ownAddresses),
    ],
  };
  const ruled = [clauses.floor, clauses.options, clauses.circular, clauses.rules];
  const tiers = [...liveClauses(options, deployment, services), ...ruled];
  const denying = tiers.flat().filter(({ answer }) => answer === 'deny');
  const fallback = fallbackOf(deployment, options.default);
  return {
    deployment: deployment?.name ?? null,
    mode: options.mode ?? deployment?.mode ?? 'audit',
    onDeny: deployment?.onDeny ?? 'EPERM',
    dns: {
      servers: deployment ? dnsServers(deployment, services) : null,
      onDeny: deployment?.dns.onDeny ?? 'nxdomain',
    },
    limits: deployment?.limits ?? NO_LIMITS,
    delegates,
    observeUnits: deployment?.observeUnits ?? false,
    tiers: tiers.map((list) => new Tier(list)),
    fallback,
    ownAddresses: new Set(options.ownAddresses),
    services: new Tier([...services.values()].flatMap((service) => serviceClauses(service, null))),
    proxies: new Tier(markedClauses(services, 'proxy')),
    sniffers: new Tier(markedClauses(services, 'sniff')),
    paths,
    denies: fallback.answer === 'deny' || denying.length > 0,
    deniesNames: denying.some(({ host }) => host !== null),
  };
}

/** The same from another network namespace, where this host's addresses are not a socket's own. Throws CompileFailure. */
export function compileElsewhere(
  policy: Policy | null,
  options: CompileOptions,
  here: CompiledPolicy,
): CompiledPolicy {
  // Only what is said of sshd is made of them: without, nothing is to be compiled again.
  if (sshdClauses(here.delegates.get('sshd'), []).length > 0)
    return compile(policy, { ...options, ownAddresses: [] });
  return { ...here, ownAddresses: new Set() };
}

/** What live entries deny, and what they allow; no tiers where there are none. */
function liveClauses(
  { live = [], deployment: asked }: CompileOptions,
  deployment: Deployment | null,
  services: ReadonlyMap<string, Service>,
): Clause[][] {
  const own = liveOf(live, deployment?.name ?? asked, services);
  if (own.length === 0) return [];
  return (['deny', 'allow'] as const).map((verdict) =>
    own
      .filter((entry) => entry.verdict === verdict)
      .flatMap((entry) => clausesOf(liveRule(entry), 'live', services)),
  );
}

/** The deployment by name; with no name, the only one there is. */
function findDeployment(policy: Policy, name: string | null): Deployment {
  const names = [...policy.deployments.keys()];
  if (name === null) {
    const [only, ...others] = policy.deployments.values();
    if (!only) throw new CompileFailure('the policy has no deployment', 'add one under `deployments`');
    if (others.length === 0) return only;
    throw new CompileFailure(
      `the policy has ${names.length} deployments, and none was named`,
      `name one: -d ${names.slice(0, 8).join(', -d ')}`,
    );
  }
  const found = policy.deployments.get(name);
  if (found) return found;
  const meant = nearest(name, names);
  throw new CompileFailure(
    `the policy has no deployment '${name}'`,
    meant ? `did you mean '${meant}'?` : `it has: ${names.join(', ') || 'none'}`,
  );
}

function optionRule(dest: DestPattern, answer: 'allow' | 'deny'): Rule {
  return {
    answer,
    source: `--${answer} ${dest.text}`,
    id: null,
    service: dest.kind === 'service' ? dest.service : null,
    host: dest.kind === 'host' ? dest.host : null,
    address: dest.kind === 'address' ? dest.address : null,
    ports: dest.ports && [dest.ports],
    reason: null,
    owner: null,
  };
}

function clausesOf(
  rule: Rule,
  kind: RuleKind,
  services: ReadonlyMap<string, Service>,
  option: string | null = null,
): Clause[] {
  const service = rule.service === null ? null : services.get(rule.service);
  if (service === undefined) {
    const meant = nearest(rule.service ?? '', services.keys());
    throw new CompileFailure(
      `${option ?? rule.source}: there is no service '${rule.service}'`,
      meant ? `did you mean 'service:${meant}'?` : 'define it under `services` in the policy',
    );
  }
  const reference: RuleReference = {
    kind,
    source: rule.source,
    id: rule.id,
    service: rule.service,
    reason: rule.reason,
    owner: rule.owner ?? service?.owner ?? null,
    instead: service?.instead ?? null,
  };
  const clause = (host: Clause['host'], address: Clause['address'], ports: Clause['ports']): Clause => ({
    answer: rule.answer,
    host,
    address: address && settled(address),
    ports,
    rule: reference,
    cycle: null,
  });
  if (!service) return [clause(rule.host, rule.address, rule.ports)];
  // A service's ports narrow what opens it, not what closes it.
  const narrowed = rule.answer === 'deny' ? rule.ports : intersectPorts(rule.ports, service.ports);
  return patternsOf(service).map(({ host, address }) => clause(host, address, narrowed));
}

/** The patterns a service is known by. */
export function patternsOf(service: Service): Pattern[] {
  return [
    ...service.hosts.map((host) => ({ host, address: null })),
    ...service.addresses.map((address) => ({ host: null, address: settled(address) })),
  ];
}

/** A rule about an unspecified address is about loopback, as a call to it is. */
function settled(prefix: Prefix): Prefix {
  const text = settleUnspecified(prefix.text);
  const loopback = text === prefix.text ? prefix : parsePrefix(text);
  return typeof loopback === 'object' && 'bytes' in loopback ? loopback : prefix;
}

/** Each service, other than the deployed ones, that needs one of them, with the cycle it closes. */
export function cyclesOf(
  deployment: Deployment,
  services: ReadonlyMap<string, Service>,
): Map<string, readonly string[]> {
  const dependencies = new Map([...services].map(([name, { dependsOn }]) => [name, dependsOn]));
  const paths = pathsTo(deployment.deploys, dependencies);
  return new Map([...paths].map(([name, path]) => [name, [path.at(-1) ?? name, ...path]]));
}

/**
 * Denies what closes a cycle; a waiver in force allows that one. What a service that closes none has within the
 * patterns of one that does is its own, and left to the other tiers.
 */
function circularClauses(
  deployment: Deployment,
  services: ReadonlyMap<string, Service>,
  cycles: ReadonlyMap<string, readonly string[]>,
  now: Date,
): Clause[] {
  if (deployment.circular === 'off') return [];
  const closed = [...cycles].flatMap(([name, cycle]) => {
    const service = services.get(name);
    if (!service) return [];
    const waiver = deployment.waivers.find(
      (candidate) => candidate.service === name && now.getTime() < candidate.until.end,
    );
    const deployed = cycle.at(-1) ?? name;
    const through = cycle.slice(2, -1);
    const rule: RuleReference = {
      kind: waiver ? 'waiver' : 'circular',
      source: waiver?.source ?? service.source,
      id: null,
      service: name,
      reason: waiver ? waiver.reason : `${name} needs ${[...through, deployed].join(', which needs ')}`,
      // Who deploys is asked, and may waive; the service's own owner where they have not said who they are.
      owner: waiver?.owner ?? services.get(deployed)?.owner ?? service.owner,
      instead: service.instead,
    };
    const answer = waiver ? ('allow' as const) : ('deny' as const);
    return patternsOf(service).map((pattern) => ({
      ...pattern,
      answer,
      ports: null,
      rule,
      cycle,
    }));
  });
  const patterns = new PatternIndex(closed.map((clause) => ({ pattern: clause, value: null })));
  const others = [...services.values()].filter(({ name }) => !cycles.has(name));
  const apart = others
    .flatMap((service) => serviceClauses(service, null))
    .filter((clause) => patterns.around(clause).length > 0)
    .map((clause) => ({ ...clause, answer: null }));
  return [...closed, ...apart];
}

function fallbackOf(
  deployment: Deployment | null,
  option: 'allow' | 'deny' | null,
): CompiledPolicy['fallback'] {
  const source = option ? `--default ${option}` : (deployment?.defaultSource ?? null);
  const answer = option ?? deployment?.default ?? 'allow';
  const reason = answer === 'deny' ? 'no rule names it' : null;
  return {
    answer,
    rule: { kind: 'default', source, id: null, service: null, reason, owner: null, instead: null },
  };
}

function dnsServers(
  deployment: Deployment,
  services: ReadonlyMap<string, Service>,
): readonly Address[] | null {
  if (deployment.dns.servers) return deployment.dns.servers;
  if (deployment.dns.service === null) return null;
  const addresses = services.get(deployment.dns.service)?.addresses ?? [];
  return addresses.filter(({ length }) => length === 128).map(({ text }) => text);
}

/** Where a service is marked, at the ports it has. */
function markedClauses(services: ReadonlyMap<string, Service>, mark: 'proxy' | 'sniff'): Clause[] {
  const marked = [...services.values()].filter((service) => service[mark]);
  return marked.flatMap((service) => serviceClauses(service, service.ports));
}

function serviceClauses(service: Service, ports: Clause['ports']): Clause[] {
  const rule: RuleReference = {
    kind: 'default',
    source: service.source,
    id: null,
    service: service.name,
    reason: null,
    owner: service.owner,
    instead: service.instead,
  };
  return patternsOf(service).map((pattern) => ({
    ...pattern,
    answer: 'allow',
    ports,
    rule,
    cycle: null,
  }));
}
