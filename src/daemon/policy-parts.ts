import type { Policy, Rule, Service } from '../policy/policy.ts';

/** Rules or services that are copied in one go: a millisecond's work. */
const PART = 256;

/** What of a policy there may be thousands of; after the last of a policy comes `end`. */
export type PolicyPart =
  | { readonly kind: 'services'; readonly services: readonly Service[] }
  | { readonly kind: 'floor'; readonly rules: RuleColumns }
  | { readonly kind: 'rules'; readonly deployment: string; readonly rules: RuleColumns }
  | { readonly kind: 'end' };

/** Rules by their fields, whose names are copied once and not with each rule. */
type RuleColumns = { readonly [Field in keyof Rule]: readonly Rule[Field][] };

/** A policy without its parts, which crosses between processes at one stroke. */
export function headOf(policy: Policy): Policy {
  const deployments = [...policy.deployments].map(([name, of]) => [name, { ...of, rules: [] }] as const);
  return { ...policy, services: new Map(), floor: [], deployments: new Map(deployments) };
}

/** The parts of a policy, one at a step. */
export function* partsOf({ services, floor, deployments }: Policy): Generator<PolicyPart> {
  for (const part of cut([...services.values()])) yield { kind: 'services', services: part };
  for (const rules of cut(floor)) yield { kind: 'floor', rules: columnsOf(rules) };
  for (const { name: deployment, rules: all } of deployments.values())
    for (const rules of cut(all)) yield { kind: 'rules', deployment, rules: columnsOf(rules) };
  yield { kind: 'end' };
}

/** Puts a policy together again of its head and parts, up to the end of them, a few at a step. */
export function* joinParts(head: Policy, parts: Iterator<PolicyPart>): Generator<void, Policy> {
  const services = new Map<string, Service>();
  const floor: Rule[] = [];
  const own = new Map<string, Rule[]>();
  for (let next = parts.next(); !next.done && next.value.kind !== 'end'; next = parts.next()) {
    const part = next.value;
    if (part.kind === 'services') for (const service of part.services) services.set(service.name, service);
    if (part.kind === 'floor') floor.push(...rulesOf(part.rules));
    if (part.kind === 'rules') {
      const before = own.get(part.deployment) ?? [];
      before.push(...rulesOf(part.rules));
      own.set(part.deployment, before);
    }
    yield;
  }
  const deployments = [...head.deployments].map(
    ([name, of]) => [name, { ...of, rules: own.get(name) ?? [] }] as const,
  );
  return { ...head, services, floor, deployments: new Map(deployments) };
}

function columnsOf(rules: readonly Rule[]): RuleColumns {
  return {
    answer: rules.map(({ answer }) => answer),
    source: rules.map(({ source }) => source),
    id: rules.map(({ id }) => id),
    service: rules.map(({ service }) => service),
    host: rules.map(({ host }) => host),
    address: rules.map(({ address }) => address),
    ports: rules.map(({ ports }) => ports),
    reason: rules.map(({ reason }) => reason),
    owner: rules.map(({ owner }) => owner),
  };
}

function rulesOf({ answer: answers, ...others }: RuleColumns): Rule[] {
  const at = <T>(column: readonly T[], i: number) => column[i] as T;
  const { source, id, service, host, address, ports, reason, owner } = others;
  return answers.map((answer, i) => ({
    ...{ answer, source: at(source, i), id: at(id, i), service: at(service, i) },
    ...{ host: at(host, i), address: at(address, i), ports: at(ports, i) },
    ...{ reason: at(reason, i), owner: at(owner, i) },
  }));
}

function* cut<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += PART) yield list.slice(at, at + PART);
}
