import { type Address, addressBytes, type Prefix } from '../model/address.ts';
import type { Transport } from '../model/destination.ts';
import type { Answer, Mode } from '../model/verdict.ts';
import type { BpfMap } from './binding.ts';
import * as layout from './layout.gen.ts';
import { native } from './native.ts';

/** An answer for a span of ports; a list of them covers every protocol and port. */
export interface PortAnswer {
  readonly protocol: Transport;
  readonly from: number;
  readonly to: number;
  readonly answer: Answer;
}

/** What the policy says of the addresses in a prefix that no longer prefix holds. */
export interface PrefixAnswers {
  readonly prefix: Prefix;
  readonly answers: readonly PortAnswer[];
  /** Where the prefix is this host's own and other answers hold in other network namespaces: those. */
  readonly elsewhere: readonly PortAnswer[] | null;
}

const DECISIONS: Record<Answer, number> = {
  allow: layout.decision.DECISION_ALLOW,
  audit: layout.decision.DECISION_AUDIT,
  deny: layout.decision.DECISION_DENY,
};

const TRANSPORTS: Record<Transport, number> = {
  other: layout.transport.TRANSPORT_OTHER,
  tcp: layout.transport.TRANSPORT_TCP,
  udp: layout.transport.TRANSPORT_UDP,
};

/** Of `struct fact`. */
const USED_UNIT_MS = 2 ** layout.factClock.FACT_USED_SHIFT / 1e6;

const BITS_BEFORE_PORT = 48;
const BITS_BEFORE_ADDRESS = 32;

/** A range as the fewest aligned blocks: [value, number of fixed bits of 16]. */
export function portBlocks(from: number, to: number): [value: number, bits: number][] {
  const blocks: [number, number][] = [];
  let at = from;
  while (at <= to) {
    let size = at === 0 ? 0x10000 : at & -at;
    while (at + size - 1 > to) size >>= 1;
    blocks.push([at, 16 - Math.log2(size)]);
    at += size;
  }
  return blocks;
}

/** The policy's tables in the kernel. One writer; the programs read while it writes. */
export class Tables {
  readonly #addresses: BpfMap;
  readonly #ports: BpfMap;
  readonly #facts: BpfMap;
  readonly #factEntries: BpfMap;
  readonly #runs: BpfMap;
  readonly #profiles = new Map<string, number>();

  constructor(maps: {
    addresses: BpfMap;
    ports: BpfMap;
    facts: BpfMap;
    factEntries: BpfMap;
    runs: BpfMap;
  }) {
    this.#addresses = maps.addresses;
    this.#ports = maps.ports;
    this.#facts = maps.facts;
    this.#factEntries = maps.factEntries;
    this.#runs = maps.runs;
  }

  /** Writes a generation's prefixes. Nothing reads them until a run is pointed at the generation. */
  installPolicy(generation: number, table: readonly PrefixAnswers[]): void {
    const rows = table.flatMap(({ prefix, answers, elsewhere }) => {
      const own = elsewhere ? layout.decision.DECISION_OWN_ADDRESS : 0;
      const here = { prefix, where: 0, entry: this.#entry(answers, own) };
      return elsewhere ? [here, { prefix, where: 1, entry: this.#entry(elsewhere, 0) }] : [here];
    });
    const keys = Buffer.alloc(rows.length * layout.addressKey.size);
    rows.forEach(({ prefix, where }, i) => {
      const at = i * layout.addressKey.size;
      keys.writeUInt32LE(BITS_BEFORE_ADDRESS + prefix.length, at + layout.addressKey.prefixLength.offset);
      const family = prefix.family === 6 ? 1 : 0;
      keys.writeUInt32LE(
        ((generation << 2) | (where << 1) | family) >>> 0,
        at + layout.addressKey.table.offset,
      );
      keys.set(prefix.bytes, at + layout.addressKey.address.offset);
    });
    native().mapUpdateBatch(this.#addresses, keys, Buffer.concat(rows.map((row) => row.entry)), rows.length);
  }

  /** Points a run at a generation, in one write. */
  publish(run: bigint, generation: number, mode: Mode, errno: number): void {
    const state = Buffer.alloc(layout.runState.size);
    const enforce = mode === 'enforce' ? layout.runFlags.RUN_ENFORCE : 0;
    state.writeUInt32LE(generation, layout.runState.generation.offset);
    state.writeUInt32LE(enforce | (errno << layout.runFlags.RUN_ERRNO_SHIFT), layout.runState.flags.offset);
    native().mapUpdate(this.#runs, runKey(run), state);
  }

  /**
   * What a generation says of a fact: an address with a set of names. Before `setFact` of the same id.
   * `elsewhere` as in PrefixAnswers.
   */
  setFactAnswers(
    generation: number,
    fact: number,
    answers: readonly PortAnswer[],
    elsewhere: readonly PortAnswer[] | null,
  ): void {
    const write = (key: Buffer, entry: Buffer) => native().mapUpdate(this.#factEntries, key, entry);
    if (elsewhere) write(factEntryKey(generation, fact, 1), this.#entry(elsewhere, 0));
    const own = elsewhere ? layout.decision.DECISION_OWN_ADDRESS : 0;
    write(factEntryKey(generation, fact, 0), this.#entry(answers, own));
  }

  removeFactAnswers(generation: number, fact: number): void {
    for (const elsewhere of [0, 1])
      native().mapDelete(this.#factEntries, factEntryKey(generation, fact, elsewhere));
  }

  /** Which fact holds for an address, for one run; as yet unused. */
  setFact(run: bigint, address: Address, fact: number): void {
    const value = Buffer.alloc(layout.fact.size);
    value.writeUInt32LE(fact, layout.fact.id.offset);
    native().mapUpdate(this.#facts, factKey(run, address), value);
  }

  /**
   * When the programs last let a call to the address through since its fact was set, in CLOCK_MONOTONIC
   * milliseconds, up to 0.13 s late and never early. 0: not since then. Null: it has no fact.
   */
  factUsed(run: bigint, address: Address): number | null {
    return usedMs(native().mapLookup(this.#facts, factKey(run, address)));
  }

  /** Removes the fact of an address; its last use as in `factUsed`, in the same step. */
  takeFact(run: bigint, address: Address): number | null {
    return usedMs(native().mapTake(this.#facts, factKey(run, address)));
  }

  #entry(answers: readonly PortAnswer[], flags: number): Buffer {
    const entry = Buffer.alloc(layout.entry.size);
    const first = answers[0];
    if (!first) throw new RangeError('an entry needs answers');
    if (answers.every(({ answer }) => answer === first.answer)) {
      entry.writeUInt32LE((DECISIONS[first.answer] | flags) >>> 0, layout.entry.decision.offset);
    } else {
      entry.writeUInt32LE(this.#profile(answers), layout.entry.profile.offset);
      entry.writeUInt32LE((layout.decision.DECISION_BY_PORT | flags) >>> 0, layout.entry.decision.offset);
    }
    return entry;
  }

  /** A profile is a list of answers by port, written once however many addresses share it. */
  #profile(answers: readonly PortAnswer[]): number {
    const text = JSON.stringify(answers);
    const known = this.#profiles.get(text);
    if (known !== undefined) return known;
    const profile = this.#profiles.size + 1;
    const rows = answers.flatMap(({ protocol, from, to, answer }) =>
      portBlocks(from, to).map(([value, bits]) => ({ protocol, value, bits, answer })),
    );
    const keys = Buffer.alloc(rows.length * layout.portKey.size);
    const values = Buffer.alloc(rows.length * 4);
    rows.forEach(({ protocol, value, bits, answer }, i) => {
      const at = i * layout.portKey.size;
      keys.writeUInt32LE(BITS_BEFORE_PORT + bits, at + layout.portKey.prefixLength.offset);
      keys.writeUInt32LE(profile, at + layout.portKey.profile.offset);
      keys.writeUInt8(TRANSPORTS[protocol], at + layout.portKey.transport.offset);
      keys.writeUInt16BE(value, at + layout.portKey.port.offset);
      values.writeUInt32LE(DECISIONS[answer], i * 4);
    });
    native().mapUpdateBatch(this.#ports, keys, values, rows.length);
    this.#profiles.set(text, profile);
    return profile;
  }
}

function usedMs(fact: Buffer | null): number | null {
  const stamp = fact?.readUInt32LE(layout.fact.used.offset) ?? null;
  if (stamp === null) return null;
  return stamp === 0 ? 0 : (stamp + 1) * USED_UNIT_MS;
}

function runKey(run: bigint): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64LE(run);
  return key;
}

function factKey(run: bigint, address: Address): Buffer {
  const key = Buffer.alloc(layout.factKey.size);
  key.writeBigUInt64LE(run, layout.factKey.run.offset);
  key.set(addressBytes(address), layout.factKey.address.offset);
  return key;
}

function factEntryKey(generation: number, fact: number, elsewhere: number): Buffer {
  const key = Buffer.alloc(layout.factEntryKey.size);
  key.writeUInt32LE(generation, layout.factEntryKey.generation.offset);
  key.writeUInt32LE(fact, layout.factEntryKey.fact.offset);
  key.writeUInt32LE(elsewhere, layout.factEntryKey.elsewhere.offset);
  return key;
}
