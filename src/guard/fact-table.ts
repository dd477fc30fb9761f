import type { Tables } from '../kernel/tables.ts';
import type { Address } from '../model/address.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { type Segment, segmentsOf } from '../policy/flatten.ts';
import type { Chains } from '../policy/opening.ts';
import { isFull } from './table-full.ts';

interface Answers {
  readonly chains: Chains;
  readonly here: readonly Segment[];
  readonly elsewhere: readonly Segment[] | null;
}

/**
 * The facts of one run in the kernel: which holds for an address, what the policy says of it, when it was
 * used.
 */
export class FactTable {
  readonly #tables: Tables;
  readonly #policy: CompiledPolicy;
  readonly #policyElsewhere: CompiledPolicy;
  readonly #run: bigint;
  readonly #generation: number;
  /** The latest: the names of a crowded address come one by one, and most of them change nothing. */
  #latest: Answers | null = null;

  constructor(options: {
    tables: Tables;
    policy: CompiledPolicy;
    /** Compiled as from another network namespace, where this host's addresses are not the socket's own. */
    policyElsewhere: CompiledPolicy;
    run: bigint;
    generation: number;
  }) {
    this.#tables = options.tables;
    this.#policy = options.policy;
    this.#policyElsewhere = options.policyElsewhere;
    this.#run = options.run;
    this.#generation = options.generation;
  }

  /**
   * Puts a fact in force for an address, judged by these chains. False: a table is full, and nothing has
   * changed.
   */
  set(address: Address, fact: number, chains: Chains): boolean {
    if (!this.judge(address, fact, chains)) return false;
    try {
      this.#tables.setFact(this.#run, address, fact);
      return true;
    } catch (error) {
      if (!isFull(error)) throw error;
      this.forget(fact);
      return false;
    }
  }

  /** Writes what the policy says of a fact, by these chains. False: the table is full, and nothing has changed. */
  judge(address: Address, fact: number, chains: Chains): boolean {
    if (this.#policy.mode !== 'enforce') return true;
    try {
      const { here, elsewhere } = this.#judge(address, chains);
      this.#tables.setFactAnswers(this.#generation, fact, here, elsewhere);
      return true;
    } catch (error) {
      if (!isFull(error)) throw error;
      this.forget(fact);
      return false;
    }
  }

  /** Puts a fact in force whose answers are there, where another is or none; its mark stays where it is in force. */
  ensure(address: Address, fact: number): void {
    if (this.#tables.factAt(this.#run, address) !== fact) this.#tables.setFact(this.#run, address, fact);
  }

  /** The last use since the fact of an address was set; 0: none. */
  used(address: Address): number {
    return this.#tables.factUsed(this.#run, address) ?? 0;
  }

  /** Takes the fact of an address out of force; its last use, as `used`. */
  take(address: Address): number {
    return this.#tables.takeFact(this.#run, address) ?? 0;
  }

  /** Removes what the policy says of a fact that is not in force. */
  forget(fact: number): void {
    this.#tables.removeFactAnswers(this.#generation, fact);
  }

  #judge(address: Address, chains: Chains): Answers {
    if (this.#latest?.chains === chains) return this.#latest;
    const by = (policy: CompiledPolicy) => segmentsOf(policy, address, chains);
    const elsewhere = this.#policy.ownAddresses.has(address) ? by(this.#policyElsewhere) : null;
    this.#latest = { chains, here: by(this.#policy), elsewhere };
    return this.#latest;
  }
}
