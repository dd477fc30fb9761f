import { type Address, addressBytes, type Prefix } from '../model/address.ts';
import type { Transport } from '../model/destination.ts';
import type { Answer, Mode } from '../model/verdict.ts';
import type { BpfMap } from './binding.ts';
import * as layout from './layout.gen.ts';
import { native } from './native.ts';
import type { Programs } from './programs.ts';
import { EngineWords } from './words.ts';

/** What is said for a span of ports; a list of them covers every protocol and port it will be asked about. */
export interface PortAnswer {
  readonly protocol: Transport;
  readonly from: number;
  readonly to: number;
  /** Null where only tiers are asked for. */
  readonly answer: Answer | null;
  /** What becomes of a connection's first bytes; with `wait` the answer is a denial they may lift. */
  readonly opening: 'none' | 'read' | 'wait' | 'proxy';
  /** The default does not deny it. */
  readonly exempt: boolean;
  /** What each tier says of the address or name alone, highest first. */
  readonly tiers: readonly (Answer | null)[];
  /** The tiers' word is of name and address together. */
  readonly joint: boolean;
}

/** What the policy says of the names a pattern holds and no more specific one does. */
export interface NameAnswers {
  readonly pattern: { readonly kind: 'exact' | 'below' | 'any'; readonly name: string };
  /** By address, the longest prefix first asked; one for each root at least. */
  readonly places: readonly { readonly prefix: Prefix; readonly answers: readonly PortAnswer[] }[];
  /** At an address that is not known. */
  readonly unplaced: readonly PortAnswer[];
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

const OPENINGS: Record<PortAnswer['opening'], number> = {
  none: 0,
  read: layout.decision.DECISION_READ,
  wait: layout.decision.DECISION_READ,
  proxy: layout.decision.DECISION_PROXY,
};

/** Tables of places by name lie beside those of generations (bpf/opening.bpf.h, PLACES). */
export const PLACES = 0x80000000;
const ROOTS = 2;

/** Rows of a table that are made and written in one go: half a millisecond's work. */
const PART = 64;

/** The longest name look-ups can hold. */
const MAX_NAME_KEY = layout.nameKey.name.size - 1;
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

/** What a run's policy says beside its tables. */
export interface RunPolicy {
  readonly mode: Mode;
  /** What a denied connect or send gets. */
  readonly errno: number;
  readonly defaultDeny: boolean;
  /** Whether first bytes may be judged, so that no connection may be made past them. */
  readonly reads: boolean;
}

/** A name that led to an address, in one run and under one generation of its policy. */
export interface ChainKey {
  readonly generation: number;
  readonly run: bigint;
  readonly address: Address;
  readonly name: string;
}

/** A list of answers by port in the kernel, written once however many addresses share it. */
interface Profile {
  readonly number: number;
  readonly keys: Buffer;
  readonly count: number;
  /** Whose tables it is in; when there is none any more, it is removed. */
  readonly generations: Set<number>;
}

/** The policy's tables in the kernel. One writer; the programs read while it writes. */
export class Tables {
  readonly #addresses: BpfMap;
  readonly #ports: BpfMap;
  readonly #facts: BpfMap;
  readonly #factEntries: BpfMap;
  readonly #runs: BpfMap;
  readonly #names: BpfMap;
  readonly #chains: BpfMap;
  readonly #words: EngineWords;
  /** By what it says. */
  readonly #profiles = new Map<string, Profile>();
  /** Of lists of answers, which are immutable and shared by many rows. */
  readonly #saying = new WeakMap<readonly PortAnswer[], number | string>();
  /** Keys written for each generation, by which they are removed when it is over. */
  readonly #written = new Map<number, { map: BpfMap; keys: Buffer; count: number }[]>();

  constructor(programs: Pick<Programs, 'map'>) {
    this.#words = new EngineWords(programs.map('engine'));
    this.#addresses = programs.map('addresses');
    this.#ports = programs.map('ports');
    this.#facts = programs.map('facts');
    this.#factEntries = programs.map('fact_entries');
    this.#runs = programs.map('runs');
    this.#names = programs.map('names');
    this.#chains = programs.map('chains');
  }

  /** Writes a generation's prefixes, a few at a step. Nothing reads them until a run is pointed at the generation. */
  *installPolicy(generation: number, table: Iterable<PrefixAnswers>): Generator<void> {
    for (const part of inParts(table)) {
      const rows = part.flatMap(({ prefix, answers, elsewhere }) => {
        const own = elsewhere ? layout.decision.DECISION_OWN_ADDRESS : 0;
        const here = { prefix, where: 0, entry: this.#entry(generation, answers, own) };
        return elsewhere
          ? [here, { prefix, where: 1, entry: this.#entry(generation, elsewhere, 0) }]
          : [here];
      });
      this.#writeAddresses(
        generation,
        rows.map(({ prefix, where, entry }) => ({
          prefix,
          table: (generation << 2) | (where << 1) | familyBit(prefix),
          entry,
        })),
      );
      yield;
    }
  }

  /** Writes what a generation says of names, for first bytes, as installPolicy does. */
  *installNames(generation: number, table: Iterable<NameAnswers>): Generator<void> {
    for (const part of inParts(table)) {
      // What no look-up can hold is met by the pattern above it.
      const rows = part.filter(({ pattern }) => pattern.name.length < MAX_NAME_KEY);
      const keys = Buffer.alloc(rows.length * layout.nameKey.size);
      const values = Buffer.alloc(rows.length * layout.nameEntry.size);
      rows.forEach(({ pattern, places, unplaced }, i) => {
        writeNameKey(keys.subarray(i * layout.nameKey.size), generation, pattern);
        const at = i * layout.nameEntry.size;
        values.set(this.#places(generation, places), at + layout.nameEntry.atAddress.offset);
        values.set(this.#entry(generation, unplaced, 0), at + layout.nameEntry.unplaced.offset);
      });
      this.#write(generation, this.#names, { keys, values, count: rows.length });
      yield;
    }
  }

  /**
   * Removes a generation's prefixes and names, a few at a step, and lists of ports that no other has. No program may
   * still be reading them, and what it says of facts and chains is the caller's to remove. Of one that is gone there is
   * nothing to do.
   */
  *removePolicy(generation: number): Generator<void> {
    const written = this.#written.get(generation) ?? [];
    this.#written.delete(generation);
    for (const { map, keys, count } of written) {
      native().mapDeleteBatch(map, keys, count);
      yield;
    }
    for (const [text, { generations, keys, count }] of this.#profiles) {
      if (!generations.delete(generation) || generations.size > 0) continue;
      native().mapDeleteBatch(this.#ports, keys, count);
      this.#profiles.delete(text);
      yield;
    }
  }

  /** Takes a run off: what is left of it is in none. */
  withdraw(run: bigint): void {
    native().mapDelete(this.#runs, runKey(run));
  }

  /** Points a run at a generation, in one write. */
  publish(run: bigint, generation: number, policy: RunPolicy): void {
    const { RUN_ENFORCE, RUN_DEFAULT_DENY, RUN_READS, RUN_ERRNO_SHIFT } = layout.runFlags;
    const state = Buffer.alloc(layout.runState.size);
    const flags =
      (policy.mode === 'enforce' ? RUN_ENFORCE : 0) |
      (policy.defaultDeny ? RUN_DEFAULT_DENY : 0) |
      (policy.reads ? RUN_READS : 0);
    state.writeUInt32LE(generation, layout.runState.generation.offset);
    state.writeUInt32LE(flags | (policy.errno << RUN_ERRNO_SHIFT), layout.runState.flags.offset);
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
    if (elsewhere) write(factEntryKey(generation, fact, 1), this.#entry(generation, elsewhere, 0));
    const own = elsewhere ? layout.decision.DECISION_OWN_ADDRESS : 0;
    write(factEntryKey(generation, fact, 0), this.#entry(generation, answers, own));
  }

  removeFactAnswers(generation: number, fact: number): void {
    for (const elsewhere of [0, 1])
      native().mapDelete(this.#factEntries, factEntryKey(generation, fact, elsewhere));
  }

  /**
   * What is said of a name that led to an address, with all it is an alias of there. Names no look-up can hold are
   * left out.
   */
  setChainAnswers(key: ChainKey, answers: readonly PortAnswer[]): void {
    if (key.name.length <= MAX_NAME_KEY)
      native().mapUpdate(this.#chains, chainKey(key), this.#entry(key.generation, answers, 0));
  }

  removeChainAnswers(key: ChainKey): void {
    if (key.name.length <= MAX_NAME_KEY) native().mapDelete(this.#chains, chainKey(key));
  }

  /** Which fact is in force for an address; 0: none. */
  factAt(run: bigint, address: Address): number {
    return native().mapLookup(this.#facts, factKey(run, address))?.readUInt32LE(layout.fact.id.offset) ?? 0;
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

  /** What is written in part, where the table is full, is removed with the rest. */
  #write(generation: number, map: BpfMap, rows: { keys: Buffer; values: Buffer; count: number }): void {
    const { keys, values, count } = rows;
    const written = this.#written.get(generation) ?? [];
    written.push({ map, keys, count });
    this.#written.set(generation, written);
    native().mapUpdateBatch(map, keys, values, count);
  }

  #writeAddresses(
    generation: number,
    rows: readonly { prefix: Prefix; table: number; entry: Buffer }[],
  ): void {
    const keys = Buffer.alloc(rows.length * layout.addressKey.size);
    rows.forEach(({ prefix, table }, i) => {
      const at = i * layout.addressKey.size;
      keys.writeUInt32LE(BITS_BEFORE_ADDRESS + prefix.length, at + layout.addressKey.prefixLength.offset);
      keys.writeUInt32LE(table >>> 0, at + layout.addressKey.table.offset);
      keys.set(prefix.bytes, at + layout.addressKey.address.offset);
    });
    const values = Buffer.concat(rows.map(({ entry }) => entry));
    this.#write(generation, this.#addresses, { keys, values, count: rows.length });
  }

  /** The entry of a name by address: its own answers where the address is all one, else a table of places. */
  #places(generation: number, places: NameAnswers['places']): Buffer {
    const [first] = places;
    if (!first) throw new RangeError('a name needs answers for its roots');
    const alike =
      places.length === ROOTS && places.every(({ answers }) => !answers.some(({ joint }) => joint));
    if (alike) return this.#entry(generation, first.answers, 0);
    const table = this.#words.next('places');
    this.#writeAddresses(
      generation,
      places.map(({ prefix, answers }) => ({
        prefix,
        table: PLACES + table * 2 + familyBit(prefix),
        entry: this.#entry(generation, answers, 0),
      })),
    );
    const entry = Buffer.alloc(layout.entry.size);
    entry.writeUInt32LE(table, layout.entry.profile.offset);
    entry.writeUInt32LE(layout.decision.DECISION_BY_ADDRESS, layout.entry.decision.offset);
    return entry;
  }

  #entry(generation: number, answers: readonly PortAnswer[], flags: number): Buffer {
    const entry = Buffer.alloc(layout.entry.size);
    const said = this.#said(answers);
    if (typeof said === 'number') {
      entry.writeUInt32LE((said | flags) >>> 0, layout.entry.decision.offset);
    } else {
      entry.writeUInt32LE(this.#profile(generation, answers, said), layout.entry.profile.offset);
      entry.writeUInt32LE((layout.decision.DECISION_BY_PORT | flags) >>> 0, layout.entry.decision.offset);
    }
    return entry;
  }

  /** The word of every port, or the text of what ports say otherwise. */
  #said(answers: readonly PortAnswer[]): number | string {
    const known = this.#saying.get(answers);
    if (known !== undefined) return known;
    const words = answers.map(wordOf);
    const [first] = words;
    if (first === undefined) throw new RangeError('an entry needs answers');
    const said = words.every((word) => word === first) ? first : JSON.stringify(answers);
    this.#saying.set(answers, said);
    return said;
  }

  #profile(generation: number, answers: readonly PortAnswer[], text: string): number {
    const known = this.#profiles.get(text);
    if (known) {
      known.generations.add(generation);
      return known.number;
    }
    const profile = this.#words.next('profiles');
    const rows = answers.flatMap((answer) =>
      portBlocks(answer.from, answer.to).map(([value, bits]) => ({
        ...{ protocol: answer.protocol, value, bits },
        word: wordOf(answer),
      })),
    );
    const keys = Buffer.alloc(rows.length * layout.portKey.size);
    const values = Buffer.alloc(rows.length * 4);
    rows.forEach(({ protocol, value, bits, word }, i) => {
      const at = i * layout.portKey.size;
      keys.writeUInt32LE(BITS_BEFORE_PORT + bits, at + layout.portKey.prefixLength.offset);
      keys.writeUInt32LE(profile, at + layout.portKey.profile.offset);
      keys.writeUInt8(TRANSPORTS[protocol], at + layout.portKey.transport.offset);
      keys.writeUInt16BE(value, at + layout.portKey.port.offset);
      values.writeUInt32LE(word, i * 4);
    });
    const count = rows.length;
    try {
      native().mapUpdateBatch(this.#ports, keys, values, count);
    } catch (error) {
      // Before another generation takes it for whole.
      native().mapDeleteBatch(this.#ports, keys, count);
      throw error;
    }
    this.#profiles.set(text, { number: profile, keys, count, generations: new Set([generation]) });
    return profile;
  }
}

/** Rows, as many as are written in one go. */
function* inParts<T>(rows: Iterable<T>): Generator<T[]> {
  let part: T[] = [];
  for (const row of rows) {
    part.push(row);
    if (part.length < PART) continue;
    yield part;
    part = [];
  }
  yield part;
}

/** What is said at a port, as one word (bpf/event.h, enum decision). */
function wordOf({ answer, opening, exempt, tiers, joint }: PortAnswer): number {
  const { DECISION_EXEMPT, DECISION_JOINT, DECISION_TIERS, DECISION_TIERS_SHIFT } = layout.decision;
  if (tiers.length > DECISION_TIERS) throw new RangeError(`${tiers.length} tiers are more than a word holds`);
  const said = tiers.reduce<number>((word, tier, i) => word | (decisionOf(tier) << (2 * i)), 0);
  const flags = OPENINGS[opening] | (exempt ? DECISION_EXEMPT : 0) | (joint ? DECISION_JOINT : 0);
  return (decisionOf(answer) | flags | (said << DECISION_TIERS_SHIFT)) >>> 0;
}

function decisionOf(answer: Answer | null): number {
  return answer === null ? layout.decision.DECISION_NONE : DECISIONS[answer];
}

function familyBit({ family }: Prefix): 0 | 1 {
  return family === 6 ? 1 : 0;
}

/** From its end: `github.com` and a 0, or what is below it. */
function writeNameKey(key: Buffer, generation: number, { kind, name }: NameAnswers['pattern']): void {
  const text = kind === 'any' ? '' : kind === 'exact' ? `\0${name}` : `.${name}`;
  const bytes = Buffer.from(text, 'latin1').reverse();
  key.writeUInt32LE(BITS_BEFORE_ADDRESS + 8 * bytes.length, layout.nameKey.prefixLength.offset);
  key.writeUInt32LE(generation, layout.nameKey.generation.offset);
  key.set(bytes, layout.nameKey.name.offset);
}

function chainKey({ generation, run, address, name }: ChainKey): Buffer {
  const key = Buffer.alloc(layout.chainKey.size);
  key.writeBigUInt64LE(run, layout.chainKey.run.offset);
  key.set(addressBytes(address), layout.chainKey.address.offset);
  key.writeUInt32LE(generation, layout.chainKey.generation.offset);
  key.set(Buffer.from(name, 'latin1').reverse(), layout.chainKey.name.offset);
  return key;
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
