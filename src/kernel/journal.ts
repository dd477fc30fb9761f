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

  /** Whether that many bytes can be put in now. False: the other half must be released first. */
  hasRoom(bytes: number): boolean {
    const [active, other] = this.#halves();
    if (this.#padded(bytes) + RESERVED > this.#half)
      throw new RangeError(`${bytes} bytes are too many at once`);
    return this.#fits(active, bytes) || this.#lengthOf(other) === 0;
  }

  /**
   * Puts an entry in, for which there is room. `turn` is called before the first of a half: what it puts in comes before
   * it, 2 MiB at most.
   */
  append(entry: JournalEntry, turn: () => void): void {
    const [active, other] = this.#halves();
    if (this.#fits(active, entry.bytes.length)) {
      this.#put(active, entry);
      return;
    }
    this.#words[ACTIVE] = other;
    turn();
    this.#put(other, entry);
  }

  #fits(half: 0 | 1, bytes: number): boolean {
    return this.#lengthOf(half) + this.#padded(bytes) <= this.#half;
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
