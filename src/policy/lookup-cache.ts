import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Decision, evaluateLookup } from './evaluate.ts';
import type { Chains } from './opening.ts';

/** Characters of the names remembered: with their decisions, some megabytes. */
const MOST_CHARACTERS = 1 << 20;

/** evaluateLookup of one policy, remembered: deploys ask for the same few names again and again. */
export class LookupCache {
  readonly #policy: CompiledPolicy;
  readonly #chainsAt: (address: Address) => Chains;
  readonly #decisions = new Map<string, Decision>();
  #characters = 0;

  /** @param chainsAt What is known of an address now: a reverse name is judged as its address is. */
  constructor(policy: CompiledPolicy, chainsAt: (address: Address) => Chains) {
    this.#policy = policy;
    this.#chainsAt = chainsAt;
  }

  decide(names: readonly Name[]): Decision {
    const key = names.length === 1 ? (names[0] as Name) : names.join(' ');
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const decision = evaluateLookup(this.#policy, names, this.#chainsAt);
    if (names.some((name) => name.endsWith('.arpa'))) return decision;
    this.#decisions.set(key, decision);
    this.#characters += key.length;
    if (this.#characters > MOST_CHARACTERS) this.#forget();
    return decision;
  }

  /** A map keeps the order of insertion: the oldest half goes. */
  #forget(): void {
    for (const key of this.#decisions.keys()) {
      if (this.#characters <= MOST_CHARACTERS / 2) return;
      this.#decisions.delete(key);
      this.#characters -= key.length;
    }
  }
}
