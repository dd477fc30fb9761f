import type { Tables } from '../kernel/tables.ts';
import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { segmentsOf } from '../policy/flatten.ts';
import { chainTable } from '../policy/flatten-names.ts';
import type { Chains } from '../policy/opening.ts';
import { settleUnspecified } from '../policy/tier.ts';

/** How long a superseded fact's answers stay in the kernel, for a program that is reading it now. */
const SUPERSEDED_MS = 1000;

interface Known {
  readonly id: number;
  readonly names: readonly Name[];
  readonly chains: Chains;
}

/**
 * What a run has learned of addresses: the names that led to them. Each set of names of an address is a
 * fact with a number, never changed after; the kernel holds number and answers, so that what a record says
 * was known is known here for ever.
 */
export class Facts {
  readonly #tables: Tables | null;
  readonly #policy: CompiledPolicy;
  readonly #policyElsewhere: CompiledPolicy;
  readonly #run: bigint;
  readonly #generation: number;
  readonly #byAddress = new Map<Address, Known>();
  readonly #byId = new Map<number, Known>();
  readonly #retiring = new Set<NodeJS.Timeout>();

  /** `tables` is null where nothing is enforced: facts are then only for the record. */
  constructor(options: {
    tables: Tables | null;
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
   * Adds a chain, a name that was asked for and its aliases, to an address; it is in the kernel when this returns.
   * False: a table there is full.
   */
  learn(told: Address, chain: readonly Name[]): boolean {
    // A name that leads to `0.0.0.0` leads to loopback: that is where a call to it goes.
    const address = settleUnspecified(told);
    const known = this.#byAddress.get(address);
    if (known?.chains.some((other) => sameChain(other, chain))) return true;
    const chains = [...(known?.chains ?? []), chain];
    const fact: Known = { id: this.#byId.size + 1, chains, names: [...new Set(chains.flat())].sort() };
    if (this.#tables) {
      try {
        this.#install(this.#tables, address, fact);
      } catch (error) {
        if (isFull(error)) return false;
        throw error;
      }
      if (known) this.#retire(this.#tables, address, known);
    }
    this.#byAddress.set(address, fact);
    this.#byId.set(fact.id, fact);
    return true;
  }

  #install(tables: Tables, address: Address, { id, chains }: Known): void {
    const answers = segmentsOf(this.#policy, address, chains);
    const own = this.#policy.ownAddresses.has(address);
    const elsewhere = own ? segmentsOf(this.#policyElsewhere, address, chains) : null;
    tables.setFactAnswers(this.#generation, id, answers, elsewhere);
    for (const { name, answers } of chainTable(this.#policy, address, chains))
      tables.setChainAnswers(this.#generation, id, name, answers);
    tables.setFact(this.#run, address, id);
  }

  /** The names known for a fact by number, as in a kernel record; 0 is none. */
  namesOf(fact: number): readonly Name[] {
    return this.#byId.get(fact)?.names ?? [];
  }

  /** The same, as chains. */
  chainsOf(fact: number): Chains {
    return this.#byId.get(fact)?.chains ?? [];
  }

  /** The names known for an address now. */
  namesAt(address: Address): readonly Name[] {
    return this.#byAddress.get(settleUnspecified(address))?.names ?? [];
  }

  /** The same, as chains. */
  chainsAt(address: Address): Chains {
    return this.#byAddress.get(settleUnspecified(address))?.chains ?? [];
  }

  /** No more is written to the kernel. What was known stays readable. */
  close(): void {
    for (const timer of this.#retiring) clearTimeout(timer);
    this.#retiring.clear();
  }

  #retire(tables: Tables, address: Address, { id, chains }: Known): void {
    const timer = setTimeout(() => {
      this.#retiring.delete(timer);
      tables.removeFactAnswers(this.#generation, id);
      for (const { name } of chainTable(this.#policy, address, chains))
        tables.removeChainAnswers(this.#generation, id, name);
    }, SUPERSEDED_MS);
    this.#retiring.add(timer);
  }
}

function sameChain(one: readonly Name[], other: readonly Name[]): boolean {
  return one.length === other.length && one.every((name, i) => name === other[i]);
}

/** bpf(2): E2BIG when a hash is at max_entries, ENOSPC for a trie, ENOMEM for either. */
function isFull(error: unknown): boolean {
  return ['E2BIG', 'ENOSPC', 'ENOMEM'].includes((error as NodeJS.ErrnoException).code ?? '');
}
