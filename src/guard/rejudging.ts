import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { kindOf } from '../policy/kind.ts';
import type { AliasTable } from './alias-table.ts';
import type { FactTable } from './fact-table.ts';
import { type ChainText, type Kinds, type Lease, sortChain, unpackChain } from './lease.ts';

/** Who judges what is known, in one generation. */
export interface Judges {
  readonly table: FactTable;
  /** Null where first bytes are not judged. */
  readonly aliases: AliasTable | null;
  readonly policy: CompiledPolicy;
}

/** An address, as far as it is judged. */
interface Judged {
  /** One that has lost chains is another lease. */
  readonly lease: Lease;
  /** The chains of it that are in, the first ones. */
  count: number;
  readonly kinds: Kinds;
  /** The fact whose answers are in; 0: none yet. */
  fact: number;
}

/**
 * What is known of addresses, judged by a policy that is to be put in force, under its own generation. It takes long
 * where much is known, and what is learned and forgotten meanwhile is judged again: `changed` tells of it.
 */
export class Rejudging {
  readonly judges: Judges;
  readonly kindOf: (address: Address, chain: readonly Name[]) => string;
  readonly #leases: ReadonlyMap<Address, Lease>;
  readonly #judged = new Map<Address, Judged>();
  /** Still to be judged. */
  readonly #due: Set<Address>;

  constructor(judges: Judges, leases: ReadonlyMap<Address, Lease>) {
    this.judges = judges;
    this.kindOf = (address, chain) => kindOf(judges.policy, address, chain);
    this.#leases = leases;
    this.#due = new Set(leases.keys());
  }

  /** What is known of an address is another thing now. */
  changed(address: Address): void {
    this.#due.add(address);
  }

  /** Judges what is due, until nothing is. False: the tables have no room. */
  *judge(): Generator<void, boolean> {
    for (const address of this.#due) {
      this.#due.delete(address);
      if (!(yield* this.#judge(address))) return false;
      yield;
    }
    return true;
  }

  /** The kinds of the chains of a lease, all of which are judged. */
  kindsOf({ address }: Lease): Kinds | null {
    return this.#judged.get(address)?.kinds ?? null;
  }

  /** Takes its word of what is known back out of the tables. */
  *takeBack(): Generator<void> {
    for (const address of this.#judged.keys()) {
      this.#forget(address);
      yield;
    }
  }

  *#judge(address: Address): Generator<void, boolean> {
    const lease = this.#leases.get(address);
    let judged = this.#judged.get(address);
    if (judged && judged.lease !== lease) {
      this.#forget(address);
      judged = undefined;
    }
    if (!lease) return true;
    judged ??= { lease, count: 0, kinds: new Map(), fact: 0 };
    this.#judged.set(address, judged);
    let i = 0;
    for (const text of lease.chains.keys()) {
      if (i++ < judged.count) continue;
      // Aliases first: they close what the fact would open.
      if (!this.#add(judged, text)) return false;
      yield;
      // It is due again.
      if (this.#leases.get(address) !== lease) return true;
    }
    if (judged.fact === lease.fact) return true;
    const { table } = this.judges;
    if (judged.fact !== 0) table.forget(judged.fact);
    judged.fact = 0;
    if (
      !table.judge(
        address,
        lease.fact,
        [...judged.kinds.values()].map(({ example }) => example),
      )
    )
      return false;
    judged.fact = lease.fact;
    return true;
  }

  #add(judged: Judged, text: ChainText): boolean {
    const { address } = judged.lease;
    const chain = unpackChain(text);
    if (this.judges.aliases?.add(address, chain) === false) return false;
    sortChain(judged.kinds, this.kindOf(address, chain), chain, 1);
    judged.count += 1;
    return true;
  }

  #forget(address: Address): void {
    const judged = this.#judged.get(address);
    if (!judged) return;
    const { lease, count, fact } = judged;
    for (const text of [...lease.chains.keys()].slice(0, count))
      this.judges.aliases?.remove(address, unpackChain(text));
    if (fact !== 0) this.judges.table.forget(fact);
    this.#judged.delete(address);
  }
}
