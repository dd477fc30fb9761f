import {
  type Address,
  addressBytes,
  addressFromBytes,
  bytesText,
  maskBytes,
  type Prefix,
  prefixHolds,
} from '../model/address.ts';
import type { Name } from '../model/name.ts';
import { locate } from './evaluate.ts';
import type { HostPattern } from './pattern.ts';
import type { Pattern } from './pattern-index.ts';
import type { Located } from './tier.ts';

/** Loopback and the unspecified addresses are judged apart, so none of them stands for others. */
const APART = [
  ['127.0.0.0', 104],
  ['0.0.0.0', 128],
  ['::', 128],
  ['::1', 128],
] as const;

/** All addresses of each family. */
export const WHOLE: Readonly<Record<4 | 6, Prefix>> = {
  4: { family: 4, text: '0.0.0.0/0', bytes: addressBytes('0.0.0.0'), length: 96 },
  6: { family: 6, text: '::/0', bytes: addressBytes('::'), length: 0 },
};

/** An address that no prefix holds: what is left is the word on the names. */
export const NOWHERE: Located = { family: 4, bytes: new Uint8Array(16), longest: -1, lone: null };

/** What patterns name, and with it destinations that stand for those no pattern names more closely. */
export class StandIns {
  readonly hosts: readonly HostPattern[];
  readonly prefixes: readonly Prefix[];
  /** A label no pattern has: a name with it is one that nobody names. */
  readonly label: string;
  readonly #known = new Set<string>();
  /** Shortest first. */
  readonly #lengths: readonly number[];

  constructor(patterns: Iterable<Pattern>) {
    const hosts = new Map<string, HostPattern>();
    const prefixes = new Map<string, Prefix>();
    for (const { host, address } of patterns) {
      if (host) hosts.set(host.text, host);
      if (address) prefixes.set(address.text, address);
    }
    this.hosts = [...hosts.values()];
    this.prefixes = [...prefixes.values()];
    this.label = freeLabel(this.hosts);
    const apart = APART.map(([address, length]) => ({ bytes: addressBytes(address), length }));
    for (const { bytes, length } of [...apart, ...this.prefixes]) this.#known.add(keyOf(bytes, length));
    const lengths = new Set([...apart, ...this.prefixes].map(({ length }) => length));
    this.#lengths = [...lengths].sort((a, b) => a - b);
  }

  /** A name that the pattern holds and no closer pattern does. */
  nameFor(pattern: HostPattern): Name {
    if (pattern.kind === 'exact') return pattern.name;
    return pattern.kind === 'below' ? `${this.label}.${pattern.name}` : this.label;
  }

  /** An address that the prefix holds and no longer prefix does; null if they leave none. */
  addressFor(prefix: Prefix): Address | null {
    const bytes = this.#bytesFor(prefix);
    return bytes && addressFromBytes(bytes);
  }

  /** The same, as tiers look for it. */
  placeFor(prefix: Prefix): Located | null {
    const bytes = this.#bytesFor(prefix);
    return bytes && locate(addressFromBytes(bytes), bytes);
  }

  #bytesFor(prefix: Prefix): Uint8Array | null {
    for (let at: Uint8Array | null = prefix.bytes; at && prefixHolds(prefix, at); ) {
      const here: Uint8Array = at;
      const holder = this.#lengths.find(
        (length) => length > prefix.length && this.#known.has(keyOf(maskBytes(here, length), length)),
      );
      if (holder === undefined) return here;
      at = after(here, holder);
    }
    return null;
  }
}

function freeLabel(hosts: readonly HostPattern[]): string {
  const taken = new Set(hosts.flatMap(({ name }) => name.split('.')));
  for (let n = 0; ; n++) {
    const label = n === 0 ? 'any' : `any-${n}`;
    if (!taken.has(label)) return label;
  }
}

/** The first address beyond the prefix of this length that holds the given one; null at the end of all. */
function after(bytes: Uint8Array, length: number): Uint8Array | null {
  const next = maskBytes(bytes, length);
  for (let bit = length - 1; bit >= 0; bit--) {
    const mask = 0x80 >> (bit & 7);
    const byte = next[bit >> 3] ?? 0;
    next[bit >> 3] = byte ^ mask;
    if ((byte & mask) === 0) return next;
  }
  return null;
}

function keyOf(bytes: Uint8Array, length: number): string {
  return `${length}/${bytesText(bytes)}`;
}
