import type { Name } from '../model/name.ts';
import { type ChainText, unpackChain } from './lease.ts';

/** A fact no longer in force is kept for twice this, and while a socket has it on record. */
const KEPT_MS = 10_000;
/** Facts whose chains are at hand: those of addresses that are called now. */
const AT_HAND = 64;

const NONE: readonly (readonly Name[])[] = [];

/** The first chains of a map that is only added to. */
interface Snapshot {
  readonly chains: ReadonlyMap<ChainText, number>;
  readonly count: number;
}

interface Retired {
  at: number;
  /** No socket had it on record when last asked; a record of one that ended before may still be unread. */
  unheld: boolean;
}

/**
 * What each fact said, by number: a set of chains that never changes, so that a record read a moment later
 * has the names that were known at the call. Numbers are not used twice.
 */
export class FactLog {
  readonly #facts = new Map<number, Snapshot>();
  readonly #retired = new Map<number, Retired>();
  readonly #atHand = new Map<number, readonly (readonly Name[])[]>();
  readonly #nextId: () => number;

  /** @param nextId never the same twice; not 0 */
  constructor(nextId: () => number) {
    this.#nextId = nextId;
  }

  /** Facts out of force that are still kept. */
  get retired(): number {
    return this.#retired.size;
  }

  /** Numbers of all that is kept. */
  get ids(): Iterable<number> {
    return this.#facts.keys();
  }

  /** A new fact: these chains, as they are now. */
  add(chains: ReadonlyMap<ChainText, number>): number {
    const id = this.#nextId();
    this.#facts.set(id, { chains, count: chains.size });
    return id;
  }

  /** Puts a fact back that another process made: the first of these chains. */
  restore(id: number, chains: ReadonlyMap<ChainText, number>, count: number = chains.size): void {
    this.#facts.set(id, { chains, count });
  }

  /** Facts out of force that are still kept, and since when. */
  *past(): Generator<Snapshot & { readonly id: number; readonly at: number }> {
    for (const [id, { at }] of this.#retired) {
      const fact = this.#facts.get(id);
      if (fact) yield { id, at, ...fact };
    }
  }

  /**
   * Each name that was asked for, followed by its aliases. Empty: no such fact. The same array as before, if it was
   * asked for lately.
   */
  chainsOf(id: number): readonly (readonly Name[])[] {
    const atHand = this.#atHand.get(id);
    if (atHand) return atHand;
    const fact = this.#facts.get(id);
    if (!fact) return NONE;
    const chains = [...fact.chains.keys()].slice(0, fact.count).map(unpackChain);
    this.#atHand.set(id, chains);
    const [oldest] = this.#atHand.keys();
    if (oldest !== undefined && this.#atHand.size > AT_HAND) this.#atHand.delete(oldest);
    return chains;
  }

  /** Every name of its chains, sorted. */
  namesOf(id: number): readonly Name[] {
    return [...new Set(this.chainsOf(id).flat())].sort();
  }

  /** The fact is no longer in force. */
  retire(id: number, now: number): void {
    this.#retired.set(id, { at: now, unheld: false });
  }

  /** At most so many facts that were retired long enough ago to ask who holds them. */
  ripe(now: number, most: number): number[] {
    const ids: number[] = [];
    for (const [id, { at }] of this.#retired) {
      if (at + KEPT_MS > now || ids.length === most) break;
      ids.push(id);
    }
    return ids;
  }

  /** Forgets a ripe fact, unless a socket holds it or did when last asked. */
  settle(id: number, held: boolean, now: number): void {
    const retired = this.#retired.get(id);
    if (!retired) return;
    this.#retired.delete(id);
    if (retired.unheld && !held) this.forget(id);
    else this.#retired.set(id, { at: now, unheld: !held });
  }

  /** Forgets a fact at once: one that never was in force. */
  forget(id: number): void {
    this.#facts.delete(id);
    this.#atHand.delete(id);
  }
}
