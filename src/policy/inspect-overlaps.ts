import { builtinServices } from './builtin.ts';
import { patternsOf } from './compile.ts';
import { type Pattern, PatternIndex } from './pattern-index.ts';
import type { Service } from './policy.ts';
import { fault, type Problem } from './problem.ts';
import { type Inspected, type Whereabout, type Whereabouts, warningAt } from './whereabouts.ts';

const MOST_NAMED = 3;

/** A pattern, and the service that has it. */
interface Owned {
  readonly service: Service;
  readonly pattern: Pattern;
  /** Null: of a built-in service. */
  readonly at: Whereabout | null;
  /** Of services, in the order of the policy. */
  readonly order: number;
}

/** Patterns of services that hold patterns of others, or are theirs as well; each is told once, at the wider one. */
export function inspectOverlaps({ policy, whereabouts }: Inspected): Problem[] {
  const all = [...builtinServices.values(), ...policy.services.values()].flatMap((service, order) =>
    ownedPatterns(service, order, whereabouts),
  );
  const index = new PatternIndex(all.map((owned) => ({ pattern: owned.pattern, value: owned })));
  const others = (own: Owned, found: readonly { value: Owned }[]) =>
    found.map(({ value }) => value).filter(({ service }) => service !== own.service);
  return all.flatMap((own): Problem[] => {
    // What is built in nobody can set apart.
    const within = others(own, index.within(own.pattern)).filter(({ at }) => at);
    const [first] = others(own, index.same(own.pattern));
    // Of equals the one that comes first has it: the others are told of it.
    const twin = first && first.order < own.order ? first : null;
    if (!own.at) return [];
    return [
      ...(twin ? [warningAt(own.at, fault('overlap', sameText(own, twin)))] : []),
      ...(within.length > 0 ? [warningAt(own.at, fault('overlap', withinText(own, within)))] : []),
    ];
  });
}

function withinText({ service, pattern }: Owned, within: readonly Owned[]): string {
  const named = within
    .slice(0, MOST_NAMED)
    .map((one) => `\`${textOf(one.pattern)}\` of \`${one.service.name}\``);
  const left = within.length - named.length;
  const list = `${named.join(', ')}${left > 0 ? ` and ${left} more` : ''}`;
  const wins = within.length === 1 ? 'that one wins' : 'those win';
  return `\`${textOf(pattern)}\` of service \`${service.name}\` holds ${list}: being more specific, ${wins}`;
}

function sameText({ service, pattern }: Owned, twin: Owned): string {
  return `\`${textOf(pattern)}\` of service \`${service.name}\` is of service \`${twin.service.name}\` too, which has it, being first; what denies one of them denies both`;
}

function textOf({ host, address }: Pattern): string {
  return host?.text ?? address?.text ?? '';
}

function ownedPatterns(service: Service, order: number, whereabouts: Whereabouts): Owned[] {
  const { name, hosts } = service;
  return patternsOf(service).map((pattern, i) => {
    const [key, place] = i < hosts.length ? ['hosts', i] : ['addresses', i - hosts.length];
    return { service, pattern, order, at: whereabouts.service(name, key as string, place as number) };
  });
}
