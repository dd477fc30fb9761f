import { readFileSync } from 'node:fs';

/** A stored beginning of a TCP stream, and what it is to be read as (without the text of a fault). */
export interface Vector {
  readonly title: string;
  readonly reads: { readonly kind: string } & Record<string, unknown>;
  readonly bytes: Buffer;
}

/** The vectors of one file, as `tls/clients`. */
export function vectors(path: string): Vector[] {
  const text = readFileSync(new URL(`${path}.json`, import.meta.url), 'utf8');
  const stored: (Omit<Vector, 'bytes'> & { hex: string })[] = JSON.parse(text);
  return stored.map(({ hex, ...vector }) => ({ ...vector, bytes: Buffer.from(hex, 'hex') }));
}

export type Pick = (below: number) => number;

/** Xorshift: the same numbers for the same seed. */
export function random(seed: number): Pick {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Bytes that mean something to one of the readers. */
const TELLING = [
  0, 1, 2, 3, 0x09, 0x0a, 0x0d, 0x14, 0x15, 0x16, 0x20, 0x2e, 0x2f, 0x3a, 0x40, 0x5b, 0x80, 0xff,
];

/** One to four edits: cut, double, insert, remove, set, flip. */
export function mutate(bytes: Buffer, pick: Pick): Buffer {
  let mutated = Buffer.from(bytes);
  const edits = 1 + pick(4);
  for (let i = 0; i < edits; i++) {
    // Heads are short and tails long: half of the edits fall into the first 200 bytes.
    const at = pick(Math.min(mutated.length, pick(2) === 0 ? 200 : mutated.length) + 1);
    const byte = pick(2) === 0 ? pick(256) : (TELLING[pick(TELLING.length)] ?? 0);
    const kind = pick(12);
    if (kind === 0) mutated = mutated.subarray(0, at);
    else if (kind === 1) mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(pick(at + 1))]);
    else if (kind < 5)
      mutated = Buffer.concat([mutated.subarray(0, at), Buffer.of(byte), mutated.subarray(at)]);
    else if (kind < 7) mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + 1)]);
    else if (at < mutated.length) mutated[at] = kind < 10 ? byte : (mutated[at] ?? 0) ^ (1 << pick(8));
  }
  return mutated;
}
