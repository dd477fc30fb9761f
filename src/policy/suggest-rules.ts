import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from './compile.ts';
import { evaluate } from './evaluate.ts';
import type { Service } from './policy.ts';
import { fewestPorts, formatPorts, type PortSpec, portsHold } from './ports.ts';
import type { Closed, SuggestedRule, SuggestOptions, Target, Use } from './suggestion.ts';
import { zonesOf } from './widen.ts';

/**
 * A lookup goes to Acyclic's own proxy, and so does any call to port 53: a rule for that port lets the name be
 * looked up and opens nothing.
 */
const LOOKUP: PortSpec = { protocol: 'udp', from: 53, to: 53 };

/** The fewest rules for these targets that open no port of theirs that was not seen, and nothing closed. */
export function rulesFor(
  targets: readonly Target[],
  closed: readonly Closed[],
  options: Pick<SuggestOptions, 'policy' | 'services'>,
): SuggestedRule[] {
  const served = serve(
    targets.flatMap((target) => plainRule(target) ?? []),
    closed,
    options,
  );
  const closedNames = closed.flatMap(({ about, text }) => (about === 'host' ? [text] : []));
  return widen(served, closedNames).sort(inOrder);
}

/** The rule for what a target was sent, or for its lookups alone; null if there is nothing to allow. */
function plainRule({ about, text, uses }: Target): SuggestedRule | null {
  const open = [...uses].filter(([, { refused, count }]) => !refused && count > 0);
  // Where TCP went, UDP that only connected was a look at the route.
  const byTcp = new Set(open.flatMap(([, { port }]) => (port?.protocol === 'tcp' ? [port.from] : [])));
  const allowed = open.filter(([, { probe, port }]) => !probe || port === null || !byTcp.has(port.from));
  if (allowed.length === 0) return null;
  const sent = allowed.filter(([key]) => key !== 'lookup');
  const portless = sent.some(([, { port }]) => port === null);
  const special = portless ? 'portless' : sent.length === 0 ? 'lookup' : null;
  const counted = (sent.length > 0 ? sent : allowed).map(([, use]) => use);
  const ports = special === 'lookup' ? [LOOKUP] : counted.flatMap(({ port }) => port ?? []);
  return { about, text, ports: portless ? null : fewestPorts(ports), ...callsOf(counted), special, seen: [] };
}

/** Targets of a service are allowed by the service, unless that would open what was refused. */
function serve(
  rules: readonly SuggestedRule[],
  closed: readonly Closed[],
  { policy, services }: Pick<SuggestOptions, 'policy' | 'services'>,
): SuggestedRule[] {
  const refused = closed.map((target) => ({ port: target.port, service: serviceOf(policy, target) }));
  const byService = new Map<string, SuggestedRule[]>();
  const rest: SuggestedRule[] = [];
  for (const rule of rules) {
    const name = serviceOf(policy, rule);
    const service = name === null ? undefined : services.get(name);
    const opens = (port: PortSpec | null) => port !== null && holdsAll(rule.ports, [port]);
    const fit =
      service !== undefined &&
      rule.special === null &&
      holdsAll(service.ports, rule.ports ?? []) &&
      !refused.some((one) => one.service === name && opens(one.port));
    if (!service || !fit) rest.push(rule);
    else byService.set(service.name, [...(byService.get(service.name) ?? []), rule]);
  }
  return [...[...byService].map(([name, held]) => serviceRule(name, held, services)), ...rest];
}

function serviceRule(
  name: string,
  held: readonly SuggestedRule[],
  services: ReadonlyMap<string, Service>,
): SuggestedRule {
  const ports = fewestPorts(held.flatMap((rule) => rule.ports ?? []));
  const own = services.get(name)?.ports;
  const same = own ? textOf(fewestPorts(own)) === textOf(ports) : false;
  return { ...together(held), about: 'service', text: name, ports: same ? null : ports };
}

function serviceOf(
  policy: CompiledPolicy,
  { about, text }: Pick<SuggestedRule, 'about' | 'text'>,
): string | null {
  const destination = about === 'host' ? { address: null, names: [text] } : { address: text, names: [] };
  return evaluate(policy, { ...destination, protocol: 'tcp', port: 0 }).service;
}

/** Names that are many of a kind become their zone. */
function widen(rules: readonly SuggestedRule[], closed: readonly Name[]): SuggestedRule[] {
  const hosts = rules.filter(({ about, special }) => about === 'host' && special === null);
  const byPorts = Map.groupBy(hosts, ({ ports }) => textOf(ports ?? []));
  const replaced = new Set<SuggestedRule>();
  const wide: SuggestedRule[] = [];
  for (const alike of byPorts.values()) {
    const others = rules.filter((rule) => rule.about === 'host' && !alike.includes(rule));
    const names = [...others.map(({ text }) => text), ...closed];
    for (const [zone, members] of zonesOf(
      alike.map(({ text }) => text),
      names,
    )) {
      const held = alike.filter(({ text }) => members.includes(text));
      for (const rule of held) replaced.add(rule);
      wide.push({ ...together(held), about: 'host', text: `*.${zone}`, ports: held[0]?.ports ?? null });
    }
  }
  return [...rules.filter((rule) => !replaced.has(rule)), ...wide];
}

function together(held: readonly SuggestedRule[]): Omit<SuggestedRule, 'about' | 'text' | 'ports'> {
  return {
    calls: held.reduce((sum, { calls }) => sum + calls, 0),
    callers: [...new Set(held.flatMap(({ callers }) => callers))],
    special: null,
    seen: held.map(({ text }) => text),
  };
}

function callsOf(uses: readonly Use[]): Pick<SuggestedRule, 'calls' | 'callers'> {
  const callers = new Map<string, number>();
  for (const use of uses)
    for (const [caller, count] of use.callers) callers.set(caller, (callers.get(caller) ?? 0) + count);
  return {
    calls: uses.reduce((sum, { count }) => sum + count, 0),
    callers: [...callers].sort(([, a], [, b]) => b - a).map(([caller]) => caller),
  };
}

function holdsAll(ports: readonly PortSpec[] | null, asked: readonly PortSpec[]): boolean {
  return asked.every(({ protocol, from, to }) => {
    for (const each of protocol ? [protocol] : (['tcp', 'udp'] as const))
      for (let port = from; port <= to; port++) if (!portsHold(ports, each, port)) return false;
    return true;
  });
}

function textOf(ports: readonly PortSpec[]): string {
  return ports.map(formatPorts).join(',');
}

const KINDS = ['service', 'host', 'address'];

/** Services, then hosts, then addresses; what was only looked up, or needs a word, last. */
function inOrder(a: SuggestedRule, b: SuggestedRule): number {
  const rank = ({ about, special }: SuggestedRule) => KINDS.indexOf(about) + (special === null ? 0 : 10);
  return rank(a) - rank(b) || b.calls - a.calls || (a.text < b.text ? -1 : 1);
}
