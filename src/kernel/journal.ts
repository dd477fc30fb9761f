import type { BpfMap } from './binding.ts';
import { native } from './native.ts';

/** What an entry is: records of a ring, or what else user space took in. */
export type EntryKind = 'events' | 'processes' | 'note';

/** Something that was taken in, as it was. */
export interface JournalEntry {
  readonly kind: EntryKind;
  /** CLOCK_MONOTONIC milliseconds when it was taken in. */
  readonly time: number;
  /** Of a ring: the position after it. */
  readonly position: bigint;
  readonly bytes: Buffer;
}

const KINDS: readonly EntryKind[] = ['events', 'processes', 'note'];

/** Before each entry: its length, its kind, when it was taken in, and a ring's position after it. */
const ENTRY = { length: 0, kind: 4, time: 8, position: 16, size: 24 } as const;
/** Of the first page, in words of 32 bits: which half grows, and bytes in each half. */
const ACTIVE = 0;
const LENGTHS = [1, 2] as const;
const HEADER = 4096;
/** For what a half begins with. */
const RESERVED = 2 << 20;

/**
 * What was taken from the rings and is not yet on disk, in memory that is pinned with the maps: whoever reads the rings
 * after a kill finds there what the one before had in its hands. It has two halves: one grows, and what is in the
 * other can be let go once all that came of it is on disk.
 *
 * A length is one word, and is written after what it counts: an entry is there whole or not at all.
 */
export class Journal {
  readonly #bytes: Buffer;
  readonly #words: Uint32Array;
  readonly #half: number;

  constructor(map: BpfMap) {
    const memory = native().mapMmap(map);
    this.#bytes = Buffer.from(memory);
    this.#words = new Uint32Array(memory, 0, 3);
    this.#half = (memory.byteLength - HEADER) >> 1;
  }

  /**
   * Puts entries in, all into one half. `turn` is called before the first of a half: what it puts in comes before them,
   * 2 MiB at most. False: there is no room, the other half must be released first.
   */
  append(entries: readonly JournalEntry[], turn: () => void): boolean {
    const [active, other] = this.#halves();
    const bytes = entries.reduce((sum, entry) => sum + this.#padded(entry.bytes.length), 0);
    if (bytes + RESERVED > this.#half) throw new RangeError(`${bytes} bytes are too many at once`);
    const turns = this.#lengthOf(active) + bytes > this.#half;
    if (turns && this.#lengthOf(other) > 0) return false;
    if (turns) {
      this.#words[ACTIVE] = other;
      turn();
    }
    for (const entry of entries) this.#put(turns ? other : active, entry);
    return true;
  }

  /** When the first entry of the half that grows was taken in; null: there is none. */
  get turned(): number | null {
    const [active] = this.#halves();
    if (this.#lengthOf(active) === 0) return null;
    return this.#bytes.readDoubleLE(HEADER + active * this.#half + ENTRY.time);
  }

  #put(half: 0 | 1, { kind, time, position, bytes }: JournalEntry): void {
    const length = this.#lengthOf(half);
    const at = HEADER + half * this.#half + length;
    this.#bytes.writeUInt32LE(bytes.length, at + ENTRY.length);
    this.#bytes.writeUInt32LE(KINDS.indexOf(kind), at + ENTRY.kind);
    this.#bytes.writeDoubleLE(time, at + ENTRY.time);
    this.#bytes.writeBigUInt64LE(position, at + ENTRY.position);
    this.#bytes.set(bytes, at + ENTRY.size);
    this.#words[LENGTHS[half]] = length + this.#padded(bytes.length);
  }

  /** Whether there is a half that does not grow any more. */
  get waits(): boolean {
    return this.#lengthOf(this.#halves()[1]) > 0;
  }

  /** Lets go of the half that does not grow: all that came of it is on disk. */
  release(): void {
    this.#words[LENGTHS[this.#halves()[1]]] = 0;
  }

  /** All there is, oldest first. */
  *entries(): Generator<JournalEntry> {
    const [active, other] = this.#halves();
    for (const half of [other, active]) {
      const start = HEADER + half * this.#half;
      for (let at = start; at < start + this.#lengthOf(half); ) {
        const length = this.#bytes.readUInt32LE(at + ENTRY.length);
        yield {
          kind: KINDS[this.#bytes.readUInt32LE(at + ENTRY.kind)] ?? 'note',
          time: this.#bytes.readDoubleLE(at + ENTRY.time),
          position: this.#bytes.readBigUInt64LE(at + ENTRY.position),
          bytes: this.#bytes.subarray(at + ENTRY.size, at + ENTRY.size + length),
        };
        at += this.#padded(length);
      }
    }
  }

  #halves(): [0 | 1, 0 | 1] {
    return this.#words[ACTIVE] === 1 ? [1, 0] : [0, 1];
  }

  #lengthOf(half: 0 | 1): number {
    return this.#words[LENGTHS[half]] ?? 0;
  }

  #padded(bytes: number): number {
    return ENTRY.size + Math.ceil(bytes / 8) * 8;
  }
}
