import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalizeName } from '../model/name.ts';
import { decodeQuery, decodeQuestion } from './dns-query.ts';
import { decodeResponse } from './dns-response.ts';

/** Mutated messages; FUZZ_RUNS sets more. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 50_000);

const folder = new URL('../../test/vectors/dns/', import.meta.url);
const corpus: Buffer[] = readdirSync(folder).flatMap((file) => {
  const vectors: { hex: string }[] = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
  return vectors.map(({ hex }) => Buffer.from(hex, 'hex'));
});

/** The labels of the question as any reader sees them: no decoder of ours. */
function rawLabels(bytes: Uint8Array): string[] {
  const labels: string[] = [];
  for (let at = 12; (bytes[at] ?? 0) !== 0; at += 1 + (bytes[at] ?? 0)) {
    labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + (bytes[at] ?? 0))).toString('latin1'));
  }
  return labels;
}

function speakable(name: string): boolean {
  return name === '.' || normalizeName(name) === name;
}

function check(bytes: Uint8Array): void {
  const query = decodeQuery(bytes);
  if (!('fault' in query)) {
    if (!speakable(query.name)) expect.fail(`yielded ${query.name}`);
    const labels = rawLabels(bytes).map((label) => label.toLowerCase());
    const ours = query.name === '.' ? [] : query.name.split('.');
    if (JSON.stringify(labels) !== JSON.stringify(ours)) expect.fail(`${labels} was read as ${ours}`);
  }
  const response = decodeResponse(bytes, decodeQuestion(bytes) ?? { name: 'github.com', type: 1 });
  if ('fault' in response) return;
  for (const name of [...response.aliases, ...response.addresses.flatMap((one) => one.names)]) {
    if (!speakable(name)) expect.fail(`yielded ${name}`);
  }
  if (response.aliases.length > 16) expect.fail('too many aliases');
  for (const { address, names } of response.addresses) {
    if (address.length !== 16 || names.length === 0) expect.fail('an address without bytes or names');
  }
}

/** Xorshift: the same mutations for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function mutate(bytes: Buffer, pick: (below: number) => number): Buffer {
  let mutated = Buffer.from(bytes);
  for (let i = 0; i <= pick(4); i++) {
    const at = pick(mutated.length + 1);
    const kind = pick(6);
    if (kind === 0) mutated = mutated.subarray(0, at);
    else if (kind === 1) mutated = Buffer.concat([mutated, Buffer.from([pick(256), pick(256)])]);
    else if (kind === 2) mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + 1)]);
    else if (kind === 3 && at + 1 < mutated.length) mutated.writeUInt16BE(0xc000 | pick(64), at);
    else if (at < mutated.length) mutated[at] = kind === 4 ? pick(256) : (mutated[at] ?? 0) ^ (1 << pick(8));
  }
  return mutated;
}

test(`mutated messages neither throw nor hang nor yield a name that reads two ways (${RUNS})`, {
  timeout: Math.max(30_000, RUNS),
}, () => {
  const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);
  const pick = random(seed);
  for (let run = 0; run < RUNS; run++) {
    const bytes = mutate(corpus[pick(corpus.length)] ?? Buffer.alloc(0), pick);
    try {
      check(bytes);
    } catch (error) {
      throw new Error(`FUZZ_SEED=${seed} run ${run}: ${bytes.toString('hex')}`, { cause: error });
    }
  }
});

test('any bytes at all are decoded', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), check), { numRuns: Math.min(RUNS, 20_000) });
});

test('the costliest message within 64 KiB is decoded in little time', () => {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(4000, 6);
  const question = Buffer.from([1, 0x61, 0, 0, 1, 0, 1]);
  // Every owner is a pointer to a pointer, as deep as records go.
  const records = Array.from({ length: 4000 }, (_, i) => {
    const record = Buffer.alloc(16);
    record.writeUInt16BE(0xc000 | Math.min(0x3fff, i === 0 ? 12 : 19 + (i - 1) * 16), 0);
    record.writeUInt16BE(1, 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt16BE(4, 10);
    return record;
  });
  const began = performance.now();
  decodeResponse(Buffer.concat([header, question, ...records]), { name: 'a', type: 1 });
  expect(performance.now() - began).toBeLessThan(500);
});
