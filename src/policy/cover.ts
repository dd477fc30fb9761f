import { addressFromBytes, maskBytes, type Prefix } from '../model/address.ts';
import type { HostPattern } from './pattern.ts';
import { fewestPorts, formatPorts, type PortSpec } from './ports.ts';

/** Patterns that hold what these hold, none of them below another: one text for every way to write it. */
export function coverHosts(hosts: readonly HostPattern[]): string[] {
  if (hosts.some(({ kind }) => kind === 'any')) return ['*'];
  const below = new Set(hosts.filter(({ kind }) => kind === 'below').map(({ name }) => name));
  const isCovered = (name: string): boolean => {
    const dot = name.indexOf('.');
    if (dot < 0) return false;
    const parent = name.slice(dot + 1);
    return below.has(parent) || isCovered(parent);
  };
  return [...new Set(hosts.filter(({ name }) => !isCovered(name)).map(({ text }) => text))].sort();
}

/** The fewest prefixes that hold what these hold. */
export function coverPrefixes(prefixes: readonly Prefix[]): string[] {
  const left = new Map<string, Prefix>();
  const lengths = new Set<number>();
  for (const prefix of [...prefixes].sort((a, b) => a.length - b.length)) {
    const isCovered = [...lengths].some(
      (length) =>
        length <= prefix.length &&
        left.has(keyOf(maskBytes(prefix.bytes, length), { family: prefix.family, length })),
    );
    if (!isCovered) add(left, lengths, prefix);
  }
  return [...left.values()].map(({ text }) => text).sort();
}

/** Two halves are their whole. */
function add(left: Map<string, Prefix>, lengths: Set<number>, prefix: Prefix): void {
  const shortest = prefix.family === 4 ? 96 : 0;
  const sibling = prefix.length > shortest ? left.get(keyOf(siblingOf(prefix), prefix)) : undefined;
  if (!sibling) {
    left.set(keyOf(prefix.bytes, prefix), prefix);
    lengths.add(prefix.length);
    return;
  }
  left.delete(keyOf(sibling.bytes, sibling));
  const length = prefix.length - 1;
  const bytes = maskBytes(prefix.bytes, length);
  const own = prefix.family === 4 ? length - 96 : length;
  add(left, lengths, { family: prefix.family, bytes, length, text: `${addressFromBytes(bytes)}/${own}` });
}

function siblingOf({ bytes, length }: Prefix): Uint8Array {
  const sibling = Uint8Array.from(bytes);
  const at = (length - 1) >> 3;
  sibling[at] = (sibling[at] ?? 0) ^ (0x80 >> ((length - 1) & 7));
  return sibling;
}

function keyOf(bytes: Uint8Array, { family, length }: Pick<Prefix, 'family' | 'length'>): string {
  return `${family}/${length}/${bytes.join('.')}`;
}

/** The fewest specs that hold what these hold. */
export function coverPorts(ports: readonly PortSpec[]): string[] {
  return fewestPorts(ports).map(formatPorts);
}
