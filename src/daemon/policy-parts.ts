import type { Policy, Rule, Service } from '../policy/policy.ts';

/** Rules or services that are copied in one go: a millisecond's work. */
const PART = 256;

/** What of a policy there may be thousands of; after the last of a policy comes `end`. */
export type PolicyPart =
  | { readonly kind: 'services'; readonly services: readonly Service[] }
  | { readonly kind: 'floor'; readonly rules: readonly Rule[] }
  | { readonly kind: 'rules'; readonly deployment: string; readonly rules: readonly Rule[] }
  | { readonly kind: 'end' };

/** A policy without its parts, which crosses between processes at one stroke. */
export function headOf(policy: Policy): Policy {
  const deployments = [...policy.deployments].map(([name, of]) => [name, { ...of, rules: [] }] as const);
  return { ...policy, services: new Map(), floor: [], deployments: new Map(deployments) };
}

/** The parts of a policy, one at a step. */
export function* partsOf({ services, floor, deployments }: Policy): Generator<PolicyPart> {
  for (const part of cut([...services.values()])) yield { kind: 'services', services: part };
  for (const rules of cut(floor)) yield { kind: 'floor', rules };
  for (const { name: deployment, rules: all } of deployments.values())
    for (const rules of cut(all)) yield { kind: 'rules', deployment, rules };
  yield { kind: 'end' };
}

/** Puts a policy together again of its head and parts, up to the end of them, a few at a step. */
export function* joinParts(head: Policy, parts: Iterator<PolicyPart>): Generator<void, Policy> {
  const services = new Map<string, Service>();
  const floor: Rule[] = [];
  const rulesOf = new Map<string, Rule[]>();
  for (let next = parts.next(); !next.done && next.value.kind !== 'end'; next = parts.next()) {
    const part = next.value;
    if (part.kind === 'services') for (const service of part.services) services.set(service.name, service);
    if (part.kind === 'floor') floor.push(...part.rules);
    if (part.kind === 'rules') {
      const before = rulesOf.get(part.deployment) ?? [];
      before.push(...part.rules);
      rulesOf.set(part.deployment, before);
    }
    yield;
  }
  const deployments = [...head.deployments].map(
    ([name, of]) => [name, { ...of, rules: rulesOf.get(name) ?? [] }] as const,
  );
  return { ...head, services, floor, deployments: new Map(deployments) };
}

function* cut<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += PART) yield list.slice(at, at + PART);
}
