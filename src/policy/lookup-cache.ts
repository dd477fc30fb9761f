import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Decision, evaluateLookup } from './evaluate.ts';

/** Some megabytes at most: names are under 256 bytes, decisions are shared with the policy but for their frame. */
const MOST_KEPT = 10_000;

/** evaluateLookup of one policy, remembered: deploys ask for the same few names again and again. */
export class LookupCache {
  readonly #policy: CompiledPolicy;
  readonly #decisions = new Map<string, Decision>();

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
  }

  decide(names: readonly Name[]): Decision {
    const key = names.length === 1 ? (names[0] as Name) : names.join(' ');
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const decision = evaluateLookup(this.#policy, names);
    if (this.#decisions.size >= MOST_KEPT) {
      // A map keeps the order of insertion: the first is the oldest.
      for (const oldest of this.#decisions.keys()) {
        this.#decisions.delete(oldest);
        break;
      }
    }
    this.#decisions.set(key, decision);
    return decision;
  }
}
