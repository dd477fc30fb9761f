import type { Tables } from '../kernel/tables.ts';
import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { segmentsOf } from '../policy/flatten.ts';
import { settleUnspecified } from '../policy/tier.ts';

/** How long a superseded fact's answers stay in the kernel, for a program that is reading it now. */
const SUPERSEDED_MS = 1000;

interface Known {
  readonly id: number;
  readonly names: readonly Name[];
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
  readonly #namesById = new Map<number, readonly Name[]>();
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

  /** Adds names to an address; it is in the kernel when this returns. False: a table there is full. */
  learn(told: Address, names: readonly Name[]): boolean {
    // A name that leads to `0.0.0.0` leads to loopback: that is where a call to it goes.
    const address = settleUnspecified(told);
    const known = this.#byAddress.get(address);
    const fresh = names.filter((name) => !known?.names.includes(name));
    if (known && fresh.length === 0) return true;
    const fact: Known = {
      id: this.#namesById.size + 1,
      names: [...(known?.names ?? []), ...new Set(fresh)].sort(),
    };
    if (this.#tables) {
      try {
        const answers = segmentsOf(this.#policy, address, fact.names);
        const own = this.#policy.ownAddresses.has(address);
        const elsewhere = own ? segmentsOf(this.#policyElsewhere, address, fact.names) : null;
        this.#tables.setFactAnswers(this.#generation, fact.id, answers, elsewhere);
        this.#tables.setFact(this.#run, address, fact.id);
      } catch (error) {
        if (isFull(error)) return false;
        throw error;
      }
      if (known) this.#retire(this.#tables, known.id);
    }
    this.#byAddress.set(address, fact);
    this.#namesById.set(fact.id, fact.names);
    return true;
  }

  /** The names known for a fact by number, as in a kernel record; 0 is none. */
  namesOf(fact: number): readonly Name[] {
    return this.#namesById.get(fact) ?? [];
  }

  /** The names known for an address now. */
  namesAt(address: Address): readonly Name[] {
    return this.#byAddress.get(settleUnspecified(address))?.names ?? [];
  }

  /** No more is written to the kernel. What was known stays readable. */
  close(): void {
    for (const timer of this.#retiring) clearTimeout(timer);
    this.#retiring.clear();
  }

  #retire(tables: Tables, fact: number): void {
    const timer = setTimeout(() => {
      this.#retiring.delete(timer);
      tables.removeFactAnswers(this.#generation, fact);
    }, SUPERSEDED_MS);
    this.#retiring.add(timer);
  }
}

/** bpf(2): E2BIG when a hash is at max_entries, ENOSPC for a trie, ENOMEM for either. */
function isFull(error: unknown): boolean {
  return ['E2BIG', 'ENOSPC', 'ENOMEM'].includes((error as NodeJS.ErrnoException).code ?? '');
}
