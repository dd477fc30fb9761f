import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';

/** A chain of names as it is kept: the name asked for, then its aliases. No name holds a space. */
export type ChainText = string;

export function packChain(names: readonly Name[]): ChainText {
  return names.join(' ');
}

export function unpackChain(text: ChainText): Name[] {
  return text.split(' ');
}

/** Chains that are judged alike (policy/kind.ts): one of them, alive or not, and how many there are. */
interface Kind {
  readonly example: readonly Name[];
  count: number;
}

export type Kinds = Map<string, Kind>;

/** Counts a chain in or out of its kind. True: there are other kinds now. */
export function sortChain(kinds: Kinds, kind: string, chain: readonly Name[], by: 1 | -1): boolean {
  const of = kinds.get(kind);
  if (of) of.count += by;
  else kinds.set(kind, { example: chain, count: by });
  if (of?.count === 0) kinds.delete(kind);
  return !of || of.count === 0;
}

/**
 * What a run knows of an address: the chains of names that led to it, each until its own time. An address in
 * use keeps all of its chains: which of them a call meant, nobody knows.
 */
export class Lease {
  readonly address: Address;
  #kindOf: (address: Address, chain: readonly Name[]) => string;
  /** By chain, when its TTL ends; Infinity: never. Facts count on the order: it is only ever added to. */
  #chains = new Map<ChainText, number>();
  /** How many of its chains never lapse. */
  #lasting = 0;
  /** Null until there is more than one chain to judge by. */
  #kinds: Kinds | null = null;
  #examples: readonly (readonly Name[])[] | null = null;
  /** The fact in force, by number; 0: none yet. */
  fact = 0;
  /** The last use known of; 0: none. */
  used = 0;
  /** The calendar's. */
  due = Number.POSITIVE_INFINITY;

  constructor(address: Address, kindOf: (address: Address, chain: readonly Name[]) => string) {
    this.address = address;
    this.#kindOf = kindOf;
  }

  /** Which chains are judged alike is for another policy to say; `kinds`: what it says, where that is known. */
  sortBy(kindOf: (address: Address, chain: readonly Name[]) => string, kinds: Kinds | null): void {
    this.#kindOf = kindOf;
    this.#kinds = kinds;
    this.#examples = null;
  }

  get chains(): ReadonlyMap<ChainText, number> {
    return this.#chains;
  }

  /** How many of its chains are leased. */
  get leased(): number {
    return this.#chains.size - this.#lasting;
  }

  /** Adds chains, or lengthens the time of those that are there; gives those that are new. */
  add(texts: readonly ChainText[], end: number): ChainText[] {
    return texts.filter((text) => {
      const known = this.#chains.get(text);
      if (known !== undefined && known >= end) return false;
      this.#set(text, end);
      if (known === undefined) this.#sort(text, 1);
      return known === undefined;
    });
  }

  /** Takes back the chains added last, where they found no room. */
  takeBack(texts: readonly ChainText[]): void {
    for (const text of texts) {
      if (this.#chains.get(text) === Number.POSITIVE_INFINITY) this.#lasting--;
      this.#chains.delete(text);
      this.#sort(text, -1);
    }
  }

  /** Chains enough to judge the address by. The same array as before, if it says the same. */
  examples(): readonly (readonly Name[])[] {
    if (this.#chains.size === 1) return [...this.#chains.keys()].map(unpackChain);
    if (!this.#kinds) {
      this.#kinds = new Map();
      for (const text of this.#chains.keys()) this.#sort(text, 1);
    }
    this.#examples ??= [...this.#kinds.values()].map(({ example }) => example);
    return this.#examples;
  }

  note(used: number): void {
    this.used = Math.max(this.used, used);
  }

  /** When the first of its chains lapses, if it is not used meanwhile. */
  lapsesAt(grace: number): number {
    let first = Number.POSITIVE_INFINITY;
    for (const end of this.#chains.values()) first = Math.min(first, end);
    return Math.max(first, this.used) + grace;
  }

  /**
   * What is left of it now, and the chains that are not. It stays as it is: facts of before have its chains.
   */
  withoutLapsed(grace: number, now: number): { left: Lease; lapsed: ChainText[] } {
    const left = new Lease(this.address, this.#kindOf);
    left.fact = this.fact;
    left.used = this.used;
    if (this.#kinds) left.#kinds = new Map([...this.#kinds].map(([kind, of]) => [kind, { ...of }]));
    left.#examples = this.#examples;
    const lapsed: ChainText[] = [];
    for (const [text, end] of this.#chains) {
      if (Math.max(end, this.used) + grace > now) left.#set(text, end);
      else lapsed.push(text);
    }
    for (const text of lapsed) left.#sort(text, -1);
    return { left, lapsed };
  }

  /** What is left of it without some chains, as withoutLapsed. */
  without(gone: ReadonlySet<ChainText>): Lease {
    const left = new Lease(this.address, this.#kindOf);
    left.fact = this.fact;
    left.used = this.used;
    for (const [text, end] of this.#chains) if (!gone.has(text)) left.#set(text, end);
    return left;
  }

  #set(text: ChainText, end: number): void {
    this.#chains.set(text, end);
    if (end === Number.POSITIVE_INFINITY) this.#lasting++;
  }

  #sort(text: ChainText, by: 1 | -1): void {
    if (!this.#kinds) return;
    const chain = unpackChain(text);
    if (sortChain(this.#kinds, this.#kindOf(this.address, chain), chain, by)) this.#examples = null;
  }
}
