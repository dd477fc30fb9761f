import type { Tables } from '../kernel/tables.ts';
import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { chainSegments, isRuled } from '../policy/flatten-names.ts';
import { isFull } from './table-full.ts';

/** Names remembered as ruled or not; most aliases are of a few content networks. */
const MOST_REMEMBERED = 10_000;

/**
 * Names of one run that are aliases, where they led, of names that rules speak of: what their first bytes say is judged
 * with those. A chain of which no rule knows an alias needs no row, since its name alone says as much.
 */
export class AliasTable {
  readonly #tables: Tables;
  readonly #policy: CompiledPolicy;
  readonly #run: bigint;
  readonly #generation: number;
  readonly #ruled = new Map<Name, boolean>();
  /** By address and name, the chains that hold it. */
  readonly #chains = new Map<string, (readonly Name[])[]>();

  constructor(options: { tables: Tables; policy: CompiledPolicy; run: bigint; generation: number }) {
    this.#tables = options.tables;
    this.#policy = options.policy;
    this.#run = options.run;
    this.#generation = options.generation;
  }

  /** False: the table is full, and nothing has changed. */
  add(address: Address, chain: readonly Name[]): boolean {
    if (!this.#matters(chain)) return true;
    try {
      for (const name of chain.slice(0, -1)) {
        const key = keyOf(address, name);
        const chains = [...(this.#chains.get(key) ?? []), chain];
        this.#chains.set(key, chains);
        this.#write(address, name, chains);
      }
      return true;
    } catch (error) {
      if (!isFull(error)) throw error;
      this.remove(address, chain);
      return false;
    }
  }

  remove(address: Address, chain: readonly Name[]): void {
    if (!this.#matters(chain)) return;
    const text = chain.join(' ');
    for (const name of chain.slice(0, -1)) {
      const key = keyOf(address, name);
      const left = (this.#chains.get(key) ?? []).filter((other) => other.join(' ') !== text);
      if (left.length > 0) {
        this.#chains.set(key, left);
        this.#write(address, name, left);
      } else {
        this.#chains.delete(key);
        const [generation, run] = [this.#generation, this.#run];
        this.#tables.removeChainAnswers({ generation, run, address, name });
      }
    }
  }

  /** Removes all, one at a step: its generation is over. */
  *clear(): Generator<void> {
    const [generation, run] = [this.#generation, this.#run];
    for (const key of this.#chains.keys()) {
      const [address = '', name = ''] = key.split(' ');
      this.#tables.removeChainAnswers({ generation, run, address, name });
      yield;
    }
    this.#chains.clear();
  }

  #write(address: Address, name: Name, chains: readonly (readonly Name[])[]): void {
    const [generation, run] = [this.#generation, this.#run];
    const answers = chainSegments(this.#policy, address, name, chains);
    this.#tables.setChainAnswers({ generation, run, address, name }, answers);
  }

  #matters([, ...aliases]: readonly Name[]): boolean {
    return aliases.some((alias) => {
      const known = this.#ruled.get(alias);
      if (known !== undefined) return known;
      if (this.#ruled.size >= MOST_REMEMBERED) this.#ruled.clear();
      const ruled = isRuled(this.#policy, alias);
      this.#ruled.set(alias, ruled);
      return ruled;
    });
  }
}

function keyOf(address: Address, name: Name): string {
  return `${address} ${name}`;
}
