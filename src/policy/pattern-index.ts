import { bytesText, maskBytes, type Prefix } from '../model/address.ts';
import type { HostPattern } from './pattern.ts';

/** A pattern of names or a prefix of addresses; where both are given, of that name at that address. */
export interface Pattern {
  readonly host: HostPattern | null;
  readonly address: Prefix | null;
}

/** A pattern, and what it is of. */
export interface Indexed<T> {
  readonly pattern: Pattern;
  readonly value: T;
}

/** Patterns of names alone and of addresses alone, found by the patterns around them and within them. */
export class PatternIndex<T> {
  readonly #hosts = new Map<string, Indexed<T>[]>();
  /** Of the patterns below a name, by every name above theirs. */
  readonly #hostsWithin = new Map<string, Indexed<T>[]>();
  readonly #prefixes = new Map<string, Indexed<T>[]>();
  readonly #lengths = new Set<number>();
  /** By their first address. */
  readonly #sorted: (Indexed<T> & { readonly first: string; readonly prefix: Prefix })[] = [];
  readonly #all: Indexed<T>[] = [];

  constructor(patterns: Iterable<Indexed<T>>) {
    for (const indexed of patterns) {
      const { host, address } = indexed.pattern;
      if (host && !address) {
        this.#all.push(indexed);
        push(this.#hosts, host.text, indexed);
        for (const above of namesAbove(host)) push(this.#hostsWithin, above, indexed);
      } else if (address && !host) {
        push(this.#prefixes, prefixKey(address), indexed);
        this.#lengths.add(address.length);
        this.#sorted.push({ ...indexed, first: bytesText(address.bytes), prefix: address });
      }
    }
    this.#sorted.sort((a, b) => (a.first < b.first ? -1 : Number(a.first > b.first)));
  }

  /** Those of the same pattern. */
  same({ host, address }: Pattern): readonly Indexed<T>[] {
    if (host && !address) return this.#hosts.get(host.text) ?? [];
    return address && !host ? (this.#prefixes.get(prefixKey(address)) ?? []) : [];
  }

  /** Those that hold all the pattern holds, and more. */
  around({ host, address }: Pattern): readonly Indexed<T>[] {
    if (host && !address) {
      if (host.kind === 'any') return [];
      const above = [...namesAbove(host)].map((name) => `*.${name}`);
      return [...above, '*'].flatMap((text) => this.#hosts.get(text) ?? []);
    }
    if (!address || host) return [];
    const shorter = [...this.#lengths].filter((length) => length < address.length);
    return shorter.flatMap((length) => {
      const prefix = { ...address, bytes: maskBytes(address.bytes, length), length };
      return this.#prefixes.get(prefixKey(prefix)) ?? [];
    });
  }

  /** Those that the pattern holds all of, and more. */
  within({ host, address }: Pattern): readonly Indexed<T>[] {
    if (host && !address) {
      if (host.kind === 'exact') return [];
      if (host.kind === 'any') return this.#all.filter(({ pattern }) => pattern.host?.kind !== 'any');
      return this.#hostsWithin.get(host.name) ?? [];
    }
    return address && !host ? this.#prefixesWithin(address) : [];
  }

  #prefixesWithin(outer: Prefix): Indexed<T>[] {
    const first = bytesText(outer.bytes);
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle]?.first ?? '') < first) low = middle + 1;
      else high = middle;
    }
    const found: Indexed<T>[] = [];
    for (let i = low; ; i++) {
      const inner = this.#sorted[i];
      if (!inner || !sharesBits(outer, inner.prefix)) return found;
      if (inner.prefix.family === outer.family && inner.prefix.length > outer.length) found.push(inner);
    }
  }
}

/** Whether the first bits of a prefix are those of another, whatever their families. */
function sharesBits(outer: Prefix, inner: Prefix): boolean {
  const bytes = maskBytes(inner.bytes, outer.length);
  return outer.bytes.every((byte, i) => byte === bytes[i]);
}

/** The names below which all is that the pattern holds, the pattern's own not among them. */
function* namesAbove({ name }: HostPattern): Generator<string> {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1);
}

function prefixKey({ family, bytes, length }: Prefix): string {
  return `${family}/${length}/${bytesText(bytes)}`;
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
