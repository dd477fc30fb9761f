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

/** The longest a decoder may take for one message, milliseconds. */
export const MAX_MS = 20;

/** Milliseconds of a call; the best of three where once was too long, since the machine has other work. */
export function cost(call: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3 && best >= MAX_MS; i++) {
    const began = performance.now();
    call();
    best = Math.min(best, performance.now() - began);
  }
  return best;
}

/** Broken inputs in the short mode; FUZZ_RUNS sets the long one (`make fuzz`). */
export const FUZZ_RUNS = Number(process.env.FUZZ_RUNS ?? 50_000);
/** Inputs kept because they led somewhere new. */
const MAX_LEARNED = 4000;

/**
 * Puts mutated inputs through `check`, which throws at a fault and else tells what kind of result it was: an input
 * of a new kind is mutated further. What fails is told with the seed (FUZZ_SEED) and the bytes that do it again.
 */
export function fuzz(
  corpus: readonly Buffer[],
  edit: (bytes: Buffer, pick: Pick) => Buffer,
  check: (bytes: Buffer, pick: Pick) => string,
): void {
  const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);
  const pick = random(seed);
  const learned: Buffer[] = [];
  const kinds = new Set<string>();
  for (let run = 0; run < FUZZ_RUNS; run++) {
    const from = learned.length > 0 && pick(3) === 0 ? learned : corpus;
    const bytes = edit(from[pick(from.length)] ?? Buffer.alloc(0), pick);
    let kind: string;
    try {
      kind = check(bytes, pick);
    } catch (error) {
      const text = `FUZZ_SEED=${seed} run ${run}: ${bytes.toString('hex').slice(0, 2000)}`;
      throw new Error(text, { cause: error });
    }
    if (kinds.has(kind) || learned.length >= MAX_LEARNED) continue;
    kinds.add(kind);
    learned.push(bytes);
  }
}
