import type { PortSpec } from './ports.ts';
import type { Clause, Selection } from './tier.ts';

/**
 * Tells selections apart by what matters of their clauses, as short text: a policy of ten thousand rules has few
 * selections that differ in that.
 */
export function shapesBy(
  mattering: (clause: Clause) => string,
): (selections: readonly Selection[]) => string {
  const numbers = new Map<string, number>();
  const known = new WeakMap<Clause, number>();
  const numberOf = (clause: Clause): number => {
    let number = known.get(clause);
    if (number === undefined) {
      const text = mattering(clause);
      number = numbers.get(text) ?? numbers.size;
      numbers.set(text, number);
      known.set(clause, number);
    }
    return number;
  };
  return (selections) => {
    let shape = '';
    for (const selection of selections) {
      shape += ';';
      for (const groups of selection) {
        shape += '|';
        for (const group of groups) {
          shape += '/';
          for (const clause of group) shape += `${numberOf(clause)},`;
        }
      }
    }
    return shape;
  };
}

/** Ports as text, for comparing; no space is in it. */
export function portsKey(ports: readonly PortSpec[] | null): string {
  return ports ? ports.map(({ protocol, from, to }) => `${protocol}:${from}-${to}`).join() : 'every';
}
