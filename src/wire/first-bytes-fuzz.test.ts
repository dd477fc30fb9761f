import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cost, FUZZ_RUNS, fuzz, MAX_MS, mutate, vectors } from '../../test/vectors/corpus.ts';
import { parseAddress } from '../model/address.ts';
import { normalizeName } from '../model/name.ts';
import { readFirstBytes } from './first-bytes.ts';
import { MAX_OPENING_BYTES } from './opening.ts';

const families: readonly [string, readonly string[]][] = [
  ['ClientHello', ['tls/clients', 'tls/hostile']],
  ['HTTP heads', ['http/clients', 'http/hostile']],
  ['openings of neither', ['first-bytes/neither']],
];

/** Gives the kind of result, for the fuzzer. */
function check(bytes: Uint8Array, cut: number): string {
  if (cost(() => readFirstBytes(bytes)) >= MAX_MS) expect.fail(`took over ${MAX_MS} ms`);
  const read = readFirstBytes(bytes);
  if (read.kind === 'tls' || read.kind === 'http') {
    const { name, address } = read;
    if (name !== null && normalizeName(name) !== name) expect.fail(`yielded the name ${name}`);
    if (name !== null && parseAddress(name) !== null) expect.fail(`yielded ${name} as a name`);
    if (address !== null && parseAddress(address) !== address) expect.fail(`yielded the address ${address}`);
    if (name !== null && address !== null) expect.fail(`yielded both ${name} and ${address}`);
    if (name !== null && !holds(bytes, name)) expect.fail(`made up ${name}`);
  }
  if (read.kind === 'http' && read.port !== null && !(read.port > 0 && read.port < 65_536))
    expect.fail('port');
  if (read.kind === 'incomplete' && !(read.need > bytes.length && read.need <= MAX_OPENING_BYTES)) {
    expect.fail(`wants ${read.need} of ${bytes.length}`);
  }
  const early = readFirstBytes(bytes.subarray(0, cut));
  if (early.kind === 'incomplete' && read.kind !== 'incomplete' && early.need > bytes.length) {
    expect.fail(`decided at ${bytes.length} though at ${cut} it wanted more`);
  }
  if (early.kind !== 'incomplete' && JSON.stringify(early) !== JSON.stringify(read)) {
    expect.fail(`at ${cut} it was ${JSON.stringify(early)}, then ${JSON.stringify(read)}`);
  }
  return kindOf(read);
}

/** A result without what is different in every input. */
function kindOf(read: ReturnType<typeof readFirstBytes>): string {
  const parts = Object.entries(read).map(([key, value]) =>
    key === 'kind' || key === 'fault' || value === null || typeof value === 'boolean'
      ? `${key} ${value}`
      : key,
  );
  return parts.join(' ');
}

/** Whether a name stands in the stream as it is, but for case and what parts the records. */
function holds(bytes: Uint8Array, name: string): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1').toLowerCase();
  // A name parted by records: its letters are there, in this order, with record headers between.
  return text.includes(name) || (text.startsWith('\x16') && inOrder(text, name));
}

function inOrder(text: string, letters: string): boolean {
  let at = 0;
  for (const letter of letters) {
    at = text.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}

test.each(families)(
  `mutated %s neither throw nor hang nor yield a name that reads two ways (${FUZZ_RUNS})`,
  { timeout: Math.max(60_000, FUZZ_RUNS) },
  (_family, files) => {
    const corpus = files.flatMap(vectors).map(({ bytes }) => bytes);
    fuzz(corpus, mutate, (bytes, pick) => check(bytes, pick(bytes.length + 1)));
  },
);

test('any bytes at all are read', () => {
  const opening = fc.constantFrom(
    '',
    '\x16\x03\x01',
    'GET / HTTP/1.1\r\nHost: ',
    'CONNECT ',
    '\x16\x03\x03\0\x40\x01\0',
  );
  const stream = fc
    .tuple(opening, fc.uint8Array({ maxLength: 600 }))
    .map(([begin, rest]) => Buffer.concat([Buffer.from(begin, 'latin1'), rest]));
  fc.assert(
    fc.property(stream, fc.nat(600), (bytes, cut) => {
      check(bytes, Math.min(cut, bytes.length));
    }),
    { numRuns: Math.min(FUZZ_RUNS, 20_000) },
  );
});

/** The openings that cost most: each byte looked at as often as can be. */
const COSTLY: readonly [string, string][] = [
  ['records of one byte', '\x16\x03\x01\0\x01\x01'.repeat(3000)],
  ['a hello of empty extensions', helloOf('\x0a\x0a\0\0'.repeat(4000))],
  ['spaces', `GET ${' '.repeat(16_384)}`],
  ['words', `GET ${'HTTP/ '.repeat(2700)}`],
  ['a scheme without an end', `GET ${'a'.repeat(16_384)}`],
  ['digits in Host', `GET / HTTP/1.1\r\nHost: ${'1'.repeat(16_000)}\r\n\r\n`],
  ['dots in Host', `GET / HTTP/1.1\r\nHost: ${'1.'.repeat(8000)}\r\n\r\n`],
  ['labels in a target', `GET http://${'a.'.repeat(8000)}/ HTTP/1.1\r\n\r\n`],
  ['colons in brackets', `CONNECT [${':'.repeat(16_000)}]:443 HTTP/1.1\r\n\r\n`],
  ['shortest fields', `GET / HTTP/1.1\r\n${'a:\r\n'.repeat(4090)}`],
  ['one long field', `GET / HTTP/1.1\r\n${'a'.repeat(16_300)}`],
  ['empty lines', '\r\n'.repeat(8192)],
];

function helloOf(extensions: string): string {
  const u16 = (value: number) => String.fromCharCode(value >> 8, value & 0xff);
  const body = `\x03\x03${'r'.repeat(32)}\0\0\x02\x13\x01\x01\0${u16(extensions.length)}${extensions}`;
  return `\x16\x03\x01${u16(body.length + 4)}\x01\0${u16(body.length)}${body}`;
}

test.each(COSTLY)(`no opening takes over ${MAX_MS} ms: %s`, (_title, text) => {
  const bytes = Buffer.from(text, 'latin1');
  expect(cost(() => readFirstBytes(bytes))).toBeLessThan(MAX_MS);
});
