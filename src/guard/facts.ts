import type { Connection } from '../kernel/connections.ts';
import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { kindOf } from '../policy/kind.ts';
import { settleUnspecified } from '../policy/tier.ts';
import type { AliasTable } from './alias-table.ts';
import { Calendar } from './calendar.ts';
import type { FactChange } from './fact-file.ts';
import { FactLog } from './fact-log.ts';
import type { FactTable } from './fact-table.ts';
import { type ChainText, Lease, packChain, unpackChain } from './lease.ts';
import { LEASE_SETTINGS, type LeaseSettings } from './lease-settings.ts';
import { type Judges, Rejudging } from './rejudging.ts';
import { atOnce } from './slices.ts';

/** Leases looked at in one go, so that lookups and records have their turn. */
const GO = 250;
/**
 * An address with this many chains is looked at this seldom, since its facts of before are kept for a while.
 */
const CROWD = 256;
const CROWD_MS = 20_000;

type KindOf = (address: Address, chain: readonly Name[]) => string;

type Lost = 'learned addresses full' | 'too many names of one address' | 'leases not looked at';

/**
 * What a run knows of addresses: the chains of names that led to them. What answers taught is leased: it
 * lapses a grace after its TTL and the address's last use, and not while a socket is connected to it. The
 * kernel has it before `learn` returns, and has it no more when it is forgotten here.
 */
export class Facts {
  #table: FactTable | null;
  #aliases: AliasTable | null;
  #kindOf: KindOf;
  /** Of policies that were in force before, and may still be read. */
  readonly #earlier: FactTable[] = [];
  /** By a policy that is to be put in force. */
  #rejudging: Rejudging | null = null;
  readonly #connections: () => readonly Connection[];
  readonly #run: bigint;
  readonly #now: () => number;
  readonly #settings: LeaseSettings;
  readonly #onChange: (change: FactChange) => void;
  readonly #leases = new Map<Address, Lease>();
  readonly #log: FactLog;
  readonly #calendar: Calendar<Lease>;
  readonly #lost = new Map<Lost, number>();
  #chains = 0;
  #text = 0;
  #isOver = false;

  constructor(options: {
    /** Null: kept here alone. */
    table: FactTable | null;
    /** Null where first bytes are not judged. */
    aliases: AliasTable | null;
    policy: CompiledPolicy;
    run: bigint;
    /** Of all runs, now. */
    connections: () => readonly Connection[];
    /** Numbers for facts: runs that share tables share them. Never the same twice, and not 0. */
    nextFact: () => number;
    /** CLOCK_MONOTONIC, milliseconds. */
    now?: () => number;
    settings?: LeaseSettings;
    /** Told of each change before the kernel has it. */
    onChange?: (change: FactChange) => void;
  }) {
    this.#table = options.table;
    this.#aliases = options.aliases;
    const { policy } = options;
    this.#kindOf = (address, chain) => kindOf(policy, address, chain);
    this.#run = options.run;
    this.#connections = options.connections;
    this.#now = options.now ?? monotonicMs;
    this.#settings = options.settings ?? LEASE_SETTINGS;
    this.#onChange = options.onChange ?? (() => {});
    this.#log = new FactLog(options.nextFact);
    this.#calendar = new Calendar(this.#now());
  }

  /**
   * Learns that a name, through its aliases, leads to an address for a TTL in seconds. False: there is no
   * room.
   */
  learn(told: Address, chain: readonly Name[], ttl: number): boolean {
    if (this.#isOver) return false;
    const { floor, cap } = this.#settings;
    const text = packChain(chain);
    const lease = this.#leaseOf(told);
    if (!lease.chains.has(text) && !this.#hasRoom(lease, text)) return false;
    return this.#add(lease, [text], this.#now() + Math.min(Math.max(ttl * 1000, floor), cap));
  }

  /**
   * What /etc/hosts says of an address: each a name of its own, for the whole run. False: no room in the
   * kernel.
   */
  know(told: Address, names: readonly Name[]): boolean {
    return this.#add(this.#leaseOf(told), names, Number.POSITIVE_INFINITY);
  }

  /** An address was called with success at this time (CLOCK_MONOTONIC, milliseconds). */
  use(told: Address, time: number): void {
    this.#leases.get(settleUnspecified(told))?.note(time);
  }

  /**
   * Each name asked for that a fact is made of, followed by its aliases, by the number in a kernel record; 0:
   * none.
   */
  chainsOf(fact: number): readonly (readonly Name[])[] {
    return this.#log.chainsOf(fact);
  }

  /** The names of `chainsOf`, sorted. */
  namesOf(fact: number): readonly Name[] {
    return this.#log.namesOf(fact);
  }

  /** The chains known for an address now. */
  chainsAt(told: Address): readonly (readonly Name[])[] {
    return this.chainsOf(this.#factAt(told));
  }

  /** The names known for an address now, sorted. */
  namesAt(told: Address): readonly Name[] {
    return this.namesOf(this.#factAt(told));
  }

  /** What could not be kept or looked at, by cause. */
  get lost(): Record<string, number> {
    return Object.fromEntries(this.#lost);
  }

  /**
   * Begins to judge what is known by another policy too, under its own generation. Nothing reads those tables yet, and
   * what is learned meanwhile is due to be judged by it as well.
   */
  rejudge(judges: Judges): Rejudging {
    this.#rejudging = new Rejudging(judges, this.#leases);
    return this.#rejudging;
  }

  /** What is known is judged by that policy, all of it; what is learned from now on, by that alone. */
  judged(rejudging: Rejudging): void {
    const before = this.#table;
    const { table, aliases } = rejudging.judges;
    this.#rejudging = null;
    this.#table = table;
    this.#aliases = aliases;
    this.#kindOf = rejudging.kindOf;
    for (const lease of this.#leases.values()) lease.sortBy(rejudging.kindOf, rejudging.kindsOf(lease));
    if (before) this.#earlier.push(before);
  }

  /** That policy is not to be put in force after all; `full`: its tables had no room. */
  notJudged(full: boolean): void {
    this.#rejudging = null;
    if (full) this.#lose('learned addresses full');
  }

  /** Clears the table of a policy that nothing reads any more, a few facts at a step. */
  *drop(table: FactTable): Generator<void> {
    for (const fact of this.#log.ids) {
      table.forget(fact);
      yield;
    }
    const at = this.#earlier.indexOf(table);
    if (at >= 0) this.#earlier.splice(at, 1);
  }

  /** What is known, as changes from nothing. */
  *changes(): Generator<FactChange> {
    const past = Map.groupBy(this.#log.past(), ({ chains }) => chains);
    for (const { address, fact, chains } of this.#leases.values()) {
      // In their order: facts count on it.
      for (const [text, end] of chains)
        yield { do: 'add', address, fact: 0, chains: [text], end: finite(end) };
      for (const { id, at, count } of past.get(chains) ?? [])
        yield { do: 'past', fact: id, at, address, count, chains: [] };
      past.delete(chains);
      yield { do: 'add', address, fact, chains: [], end: null };
    }
    for (const { id, at, count, chains } of [...past.values()].flat()) {
      const texts = [...chains.keys()].slice(0, count);
      yield { do: 'past', fact: id, at, address: null, count, chains: texts };
    }
  }

  /**
   * Takes up what another process knew, of the same run; the kernel's tables have it already, and where they do not, get
   * it. It is judged by the policy at hand before anything reads that. False: there is no room for that.
   */
  restore(changes: Iterable<FactChange>): boolean {
    const now = this.#now();
    for (const change of changes) this.#redo(change, now);
    for (const lease of this.#leases.values()) {
      const judged = this.#table?.judge(lease.address, lease.fact, lease.examples()) ?? true;
      if (!this.#putAliases(lease, [...lease.chains.keys()]) || !judged) return false;
      this.#plan(lease, now);
    }
    for (const { address, fact } of this.#leases.values()) this.#table?.ensure(address, fact);
    return true;
  }

  /** Takes the word of the policy at hand back; what is in force stays so. */
  forsake(): void {
    for (const { fact } of this.#leases.values()) this.#table?.forget(fact);
    if (this.#aliases) atOnce(this.#aliases.clear());
  }

  /** Takes all that is known out of the kernel, a few facts at a step. Nothing is learned any more. */
  *clear(): Generator<void> {
    this.#isOver = true;
    for (const { address } of this.#leases.values()) {
      this.#table?.take(address);
      yield;
    }
    for (const table of [this.#table, ...this.#earlier])
      for (const fact of this.#log.ids) {
        table?.forget(fact);
        yield;
      }
    this.#leases.clear();
    if (this.#aliases) yield* this.#aliases.clear();
  }

  /** Forgets what has lapsed, as much as one go allows. True: there is more. */
  lapse(): boolean {
    const now = this.#now();
    const due = this.#calendar.take(now, GO);
    const ripe = this.#log.ripe(now, GO);
    try {
      const unused = due.filter((lease) => this.#unused(lease, now));
      if (unused.length + ripe.length > 0) this.#forget(unused, ripe, now);
    } catch {
      // What cannot be looked at is kept, and looked at again: a connection in use must not be cut.
      this.#lose('leases not looked at');
    } finally {
      for (const lease of due) if (this.#leases.get(lease.address) === lease) this.#plan(lease, now);
    }
    return due.length === GO || ripe.length === GO;
  }

  #leaseOf(told: Address): Lease {
    // A name that leads to `0.0.0.0` leads to loopback: that is where a call to it goes.
    const address = settleUnspecified(told);
    return this.#leases.get(address) ?? new Lease(address, this.#kindOf);
  }

  #factAt(told: Address): number {
    return this.#leases.get(settleUnspecified(told))?.fact ?? 0;
  }

  #hasRoom(lease: Lease, text: ChainText): boolean {
    const { chains, chainsOfAddress, text: characters } = this.#settings;
    if (lease.leased >= chainsOfAddress) return this.#lose('too many names of one address');
    // All may lapse at once, and be followed by as many, before any is forgotten.
    const crowded = this.#chains >= chains || this.#log.retired >= 2 * chains;
    const full = crowded || this.#text + text.length > characters;
    return full ? this.#lose('learned addresses full') : true;
  }

  #add(lease: Lease, texts: readonly ChainText[], end: number): boolean {
    const added = lease.add(texts, end);
    const { address } = lease;
    if (added.length === 0) {
      this.#onChange({ do: 'add', address, fact: 0, chains: texts, end: finite(end) });
      return true;
    }
    let published = false;
    try {
      // Aliases first: they close what the fact would open.
      const changeTo = (fact: number) =>
        ({ do: 'add', address, fact, chains: added, end: finite(end) }) as const;
      published = this.#putAliases(lease, added) && this.#publish(lease, changeTo);
    } finally {
      if (!published) this.#takeAliases(lease, added);
      if (!published) lease.takeBack(added);
      if (!published) this.#onChange({ do: 'drop', address, fact: lease.fact, chains: added });
    }
    if (!published) return this.#lose('learned addresses full');
    this.#leases.set(lease.address, lease);
    this.#rejudging?.changed(address);
    if (end < Number.POSITIVE_INFINITY) {
      this.#count(added, 1);
      this.#calendar.put(lease, end + this.#settings.grace);
    }
    return true;
  }

  #putAliases({ address }: Lease, texts: readonly ChainText[]): boolean {
    return texts.every((text) => this.#aliases?.add(address, unpackChain(text)) ?? true);
  }

  #takeAliases({ address }: Lease, texts: Iterable<ChainText>): void {
    for (const text of texts) this.#aliases?.remove(address, unpackChain(text));
  }

  /**
   * Puts the chains of a lease in force as a new fact. False: the kernel has no room, and nothing has
   * changed.
   */
  #publish(lease: Lease, changeTo: (fact: number) => FactChange): boolean {
    const before = lease.fact;
    // A new fact is one without a mark.
    if (before !== 0) this.#noteMark(lease);
    const fact = this.#log.add(lease.chains);
    this.#onChange(changeTo(fact));
    if (this.#table && !this.#table.set(lease.address, fact, lease.examples())) {
      this.#log.forget(fact);
      return false;
    }
    lease.fact = fact;
    if (before !== 0) this.#log.retire(before, this.#now());
    return true;
  }

  #noteMark(lease: Lease): void {
    if (this.#table) lease.note(this.#table.used(lease.address));
  }

  #plan(lease: Lease, now: number): void {
    const at = lease.lapsesAt(this.#settings.grace);
    const soonest = now + (lease.chains.size < CROWD ? 1 : CROWD_MS);
    if (at < Number.POSITIVE_INFINITY) this.#calendar.put(lease, Math.max(at, soonest));
  }

  #unused(lease: Lease, now: number): boolean {
    this.#noteMark(lease);
    return lease.lapsesAt(this.#settings.grace) <= now;
  }

  #forget(unused: readonly Lease[], ripe: readonly number[], now: number): void {
    const open = this.#connections().filter(({ run }) => run === this.#run);
    const connected = new Set(open.map(({ address }) => address));
    const held = new Set(open.map(({ fact }) => fact));
    for (const lease of unused) {
      if (connected.has(lease.address)) lease.note(now);
      else this.#shorten(lease, now);
    }
    for (const fact of ripe) {
      for (const table of [this.#table, ...this.#earlier]) table?.forget(fact);
      this.#log.settle(fact, held.has(fact), now);
    }
  }

  /** Forgets the chains of a lease that have lapsed; where none is left, the address. */
  #shorten(lease: Lease, now: number): void {
    const { left, lapsed } = lease.withoutLapsed(this.#settings.grace, now);
    const { address } = lease;
    this.#rejudging?.changed(address);
    const changeTo = (fact: number) => ({ do: 'drop', address, fact, chains: lapsed }) as const;
    if (left.chains.size === 0 ? !this.#remove(lease, now) : !this.#publish(left, changeTo)) return;
    if (left.chains.size > 0) {
      this.#leases.set(lease.address, left);
      this.#plan(left, now);
    }
    this.#takeAliases(lease, lapsed);
    this.#count(lapsed, -1);
  }

  /** False: it was called at the last moment, and stays. */
  #remove(lease: Lease, now: number): boolean {
    const { address } = lease;
    this.#leases.delete(address);
    if (this.#table) lease.note(this.#table.take(address));
    const revive = (fact: number) => ({ do: 'add', address, fact, chains: [], end: null }) as const;
    if (lease.lapsesAt(this.#settings.grace) > now && this.#publish(lease, revive)) {
      this.#leases.set(lease.address, lease);
      return false;
    }
    this.#onChange({ do: 'drop', address, fact: 0, chains: [...lease.chains.keys()] });
    this.#log.retire(lease.fact, now);
    return true;
  }

  #redo(change: FactChange, now: number): void {
    if (change.do === 'past') {
      const lease = change.address === null ? null : this.#leases.get(change.address);
      const chains = lease?.chains ?? new Map(change.chains.map((text) => [text, 0]));
      this.#log.restore(change.fact, chains, change.count);
      this.#log.retire(change.fact, change.at);
      return;
    }
    const { address, fact, chains } = change;
    const before = this.#leaseOf(address);
    const factBefore = before.fact;
    let lease = before;
    if (change.do === 'add') {
      const end = change.end ?? Number.POSITIVE_INFINITY;
      const added = before.add(chains, end);
      if (change.end !== null) this.#count(added, 1);
    } else {
      const leased = chains.filter((text) => (before.chains.get(text) ?? Infinity) < Infinity);
      this.#count(leased, -1);
      lease = before.without(new Set(chains));
    }
    if (lease.chains.size === 0) this.#leases.delete(address);
    else this.#leases.set(address, lease);
    if (fact !== 0 && lease.chains.size > 0 && fact !== factBefore) {
      this.#log.restore(fact, lease.chains);
      lease.fact = fact;
    }
    if (factBefore !== 0 && (lease.fact !== factBefore || lease.chains.size === 0))
      this.#log.retire(factBefore, now);
  }

  #count(texts: readonly ChainText[], sign: 1 | -1): void {
    if (texts.length === 0) return;
    this.#chains += sign * texts.length;
    for (const text of texts) this.#text += sign * text.length;
  }

  #lose(cause: Lost): false {
    this.#lost.set(cause, (this.#lost.get(cause) ?? 0) + 1);
    return false;
  }
}

function finite(end: number): number | null {
  return end < Number.POSITIVE_INFINITY ? end : null;
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
