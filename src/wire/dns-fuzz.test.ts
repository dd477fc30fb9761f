import { readdirSync, readFileSync } from 'node:fs';
import dnsPacket from 'dns-packet';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cost, FUZZ_RUNS, fuzz, MAX_MS, mutate, type Pick } from '../../test/vectors/corpus.ts';
import { normalizeName } from '../model/name.ts';
import { encodeFailure, encodeTruncated } from './dns-encode.ts';
import { decodeQuery, decodeQuestion, type Query } from './dns-query.ts';
import { decodeResponse, matchAnswer } from './dns-response.ts';

const folder = new URL('../../test/vectors/dns/', import.meta.url);
const corpus: Buffer[] = readdirSync(folder).flatMap((file) => {
  const vectors: { hex: string }[] = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
  return vectors.map(({ hex }) => Buffer.from(hex, 'hex'));
});

const MAX_POINTERS = 128;

/** The labels at an offset as any reader sees them, by no decoder of ours; null when they do not end. */
function rawLabels(bytes: Uint8Array, start: number): string[] | null {
  const labels: string[] = [];
  let at = start;
  for (let pointers = 0; pointers < MAX_POINTERS; ) {
    const size = bytes[at];
    if (size === undefined) return null;
    if (size === 0) return labels;
    if (size >= 0xc0) {
      at = ((size & 0x3f) << 8) | (bytes[at + 1] ?? 0);
      pointers += 1;
      continue;
    }
    labels.push(
      Buffer.from(bytes.subarray(at + 1, at + 1 + size))
        .toString('latin1')
        .toLowerCase(),
    );
    at += 1 + size;
  }
  return null;
}

/** Whether a name stands somewhere in the message, label by label. */
function holds(bytes: Uint8Array, name: string): boolean {
  const wanted = JSON.stringify(name.split('.'));
  for (let at = 12; at < bytes.length; at++) {
    if (JSON.stringify(rawLabels(bytes, at)) === wanted) return true;
  }
  return false;
}

function checkName(bytes: Uint8Array, name: string): void {
  if (name !== '.' && normalizeName(name) !== name) expect.fail(`yielded ${name}`);
  if (name !== '.' && !holds(bytes, name)) expect.fail(`made up ${name}`);
}

function checkQuery(bytes: Buffer, query: Query): void {
  if (bytes.readUInt16BE(4) !== 1) expect.fail('took a message without exactly one question');
  const labels = rawLabels(bytes, 12);
  const ours = query.name === '.' ? [] : query.name.split('.');
  if (JSON.stringify(labels) !== JSON.stringify(ours)) expect.fail(`${labels} was read as ${query.name}`);
  checkName(bytes, query.name);
  const other = secondReader(bytes);
  if (other !== null && other !== (query.name === '.' ? '' : query.name))
    expect.fail(`dns-packet reads ${other}, we read ${query.name}`);
  for (const reply of [
    encodeFailure(query, { rcode: 2, ede: { code: 0, text: 'x' } }),
    encodeTruncated(query, bytes),
  ])
    if (reply.length > 512) expect.fail(`a reply of ${reply.length} bytes`);
  matchAnswer(bytes, query, query.id);
}

/** The question's name by dns-packet; null where it cannot read the message. */
function secondReader(bytes: Buffer): string | null {
  try {
    const name = dnsPacket.decode(bytes).questions?.[0]?.name.toLowerCase() ?? null;
    return name === '.' ? '' : name;
  } catch {
    return null;
  }
}

/** Gives the kind of result, for the fuzzer. */
function check(bytes: Buffer): string {
  if (cost(() => decodeQuery(bytes)) >= MAX_MS) expect.fail(`a query took over ${MAX_MS} ms`);
  const query = decodeQuery(bytes);
  if (!('fault' in query)) checkQuery(bytes, query);
  else if (query.head !== null) encodeFailure(query.head, { rcode: 1, ede: null });
  const question = decodeQuestion(bytes) ?? { name: 'github.com', type: 1 };
  if (cost(() => decodeResponse(bytes, question)) >= MAX_MS) expect.fail(`an answer took over ${MAX_MS} ms`);
  const response = decodeResponse(bytes, question);
  const asked = 'fault' in query ? query.fault : `query ${query.edns !== null}`;
  if ('fault' in response) return `${asked}, ${response.fault}`;
  const { aliases, addresses } = response;
  for (const name of aliases) checkName(bytes, name);
  if (aliases.length > 16) expect.fail('too many aliases');
  for (const { address, names } of addresses) {
    if (address.length !== 16 || names.length === 0) expect.fail('an address without bytes or names');
    for (const name of names)
      if (name !== question.name && !aliases.includes(name)) expect.fail(`named ${name}`);
  }
  const { rcode, truncated, lame, ede } = response;
  return `${asked}, ${aliases.length} ${addresses.length} ${rcode} ${truncated} ${lame} ${ede === null}`;
}

/** The edits of all vectors, and pointers, counts and lengths, which are what DNS is made of. */
function edit(bytes: Buffer, pick: Pick): Buffer {
  const mutated = mutate(bytes, pick);
  const at = pick(Math.max(1, mutated.length - 1));
  if (mutated.length < 14) return mutated;
  const kind = pick(4);
  if (kind === 0) mutated.writeUInt16BE(0xc000 | pick(Math.min(mutated.length + 2, 0x3fff)), at);
  else if (kind === 1) mutated.writeUInt16BE(pick(4), 4 + 2 * pick(4));
  else if (kind === 2) mutated[at] = pick(70);
  return mutated;
}

test(
  `mutated messages neither throw nor hang nor yield a name that reads two ways (${FUZZ_RUNS})`,
  {
    timeout: Math.max(60_000, FUZZ_RUNS),
  },
  () => fuzz(corpus, edit, check),
);

test('any bytes at all are decoded', () => {
  const bytes = fc.uint8Array({ maxLength: 600 }).map((one) => Buffer.from(one));
  fc.assert(
    fc.property(bytes, (one) => void check(one)),
    { numRuns: Math.min(FUZZ_RUNS, 20_000) },
  );
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
