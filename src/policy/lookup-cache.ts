import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Decision, evaluateLookup } from './evaluate.ts';

/** Characters of the names remembered: with their decisions, some megabytes. */
const MOST_CHARACTERS = 1 << 20;

/** evaluateLookup of one policy, remembered: deploys ask for the same few names again and again. */
export class LookupCache {
  readonly #policy: CompiledPolicy;
  readonly #decisions = new Map<string, Decision>();
  #characters = 0;

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
  }

  decide(names: readonly Name[]): Decision {
    const key = names.length === 1 ? (names[0] as Name) : names.join(' ');
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const decision = evaluateLookup(this.#policy, names);
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
