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

/**
 * What a run knows of an address: the chains of names that led to it, each until its own time. An address in use
 * keeps all of its chains: which of them a call meant, nobody knows.
 */
export class Lease {
  readonly address: Address;
  /** By chain, when its TTL ends; Infinity: never. Facts count on the order: it is only ever added to. */
  #chains = new Map<ChainText, number>();
  /** One chain of each kind (policy/kind.ts), and these as names; null while there is but one chain. */
  #byKind: Map<string, ChainText> | null = null;
  #representatives: readonly (readonly Name[])[] | null = null;
  /** How many of its chains never lapse. */
  #lasting = 0;
  /** The fact in force, by number; 0: none yet. */
  fact = 0;
  /** The last use known of; 0: none. */
  used = 0;
  /** The calendar's. */
  due = Number.POSITIVE_INFINITY;

  constructor(address: Address) {
    this.address = address;
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
      if (known === undefined || known < end) this.#set(text, end);
      return known === undefined;
    });
  }

  /** Takes back the chains added last, where they found no room. */
  takeBack(texts: readonly ChainText[]): void {
    const gone = new Set(texts);
    for (const text of gone) {
      if (this.#chains.get(text) === Number.POSITIVE_INFINITY) this.#lasting--;
      this.#chains.delete(text);
    }
    for (const [kind, text] of this.#byKind ?? []) if (gone.has(text)) this.#byKind?.delete(kind);
    this.#representatives = null;
  }

  /**
   * Chains enough to judge the address by; `added` are those added since this was asked. The same array as before,
   * if it says the same.
   */
  representatives(
    kindOf: (chain: readonly Name[]) => string,
    added: readonly ChainText[],
  ): readonly (readonly Name[])[] {
    if (this.#chains.size === 1) return [...this.#chains.keys()].map(unpackChain);
    const unsorted = this.#byKind ? added : this.#chains.keys();
    this.#byKind ??= new Map();
    for (const text of unsorted) {
      const kind = kindOf(unpackChain(text));
      if (this.#byKind.has(kind)) continue;
      this.#byKind.set(kind, text);
      this.#representatives = null;
    }
    this.#representatives ??= [...this.#byKind.values()].map(unpackChain);
    return this.#representatives;
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

  /** The chains that hold now, as a map of its own, so that facts of before keep theirs. */
  withoutLapsed(grace: number, now: number): Lease {
    const lease = new Lease(this.address);
    lease.fact = this.fact;
    lease.used = this.used;
    for (const [text, end] of this.#chains) if (Math.max(end, this.used) + grace > now) lease.#set(text, end);
    return lease;
  }

  #set(text: ChainText, end: number): void {
    this.#chains.set(text, end);
    if (end === Number.POSITIVE_INFINITY) this.#lasting++;
  }
}
