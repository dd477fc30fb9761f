import { expect, test } from 'vitest';
import { type Vector, vectors } from '../../test/vectors/corpus.ts';
import { type FirstBytes, readFirstBytes } from './first-bytes.ts';
import { MAX_OPENING_BYTES } from './opening.ts';

const FILES = ['tls/clients', 'tls/hostile', 'http/clients', 'http/hostile', 'first-bytes/neither'];

const stored = FILES.flatMap((file) => vectors(file).map((vector) => [file, vector.title, vector] as const));

/** Without the text for people. */
function reading(bytes: Uint8Array): Omit<FirstBytes, 'text'> {
  const read = readFirstBytes(bytes);
  if (read.kind !== 'unreadable') return read;
  const { text, ...rest } = read;
  expect(text).toMatch(/^a TLS opening that |^an HTTP request that /);
  return rest;
}

/** Every length of a short stream; of a long one, the lengths at both ends and some between. */
function lengths({ bytes }: Vector): number[] {
  const all = Array.from({ length: bytes.length }, (_, length) => length);
  return all.filter((length) => length < 700 || length % 97 === 0 || length > bytes.length - 20);
}

test.each(stored)('%s: %s', (_file, _title, { bytes, reads }) => {
  expect(reading(bytes)).toEqual(reads);
});

test('however a stream is cut, what is said of its beginning is incomplete or final', () => {
  for (const [, title, vector] of stored) {
    const whole = readFirstBytes(vector.bytes);
    let need = 1;
    for (const length of lengths(vector)) {
      const read = readFirstBytes(vector.bytes.subarray(0, length));
      if (read.kind !== 'incomplete') {
        expect(read, `${title}, cut at ${length}`).toEqual(whole);
        expect(length, `${title}: decided before what it wanted`).toBeGreaterThanOrEqual(need);
      } else {
        expect(read.need, `${title}, cut at ${length}`).toBeGreaterThan(length);
        expect(read.need, title).toBeLessThanOrEqual(MAX_OPENING_BYTES);
        need = read.need;
      }
    }
  }
});

test('a stream that goes on is read as its beginning was', () => {
  for (const [, title, { bytes }] of stored) {
    const read = readFirstBytes(bytes);
    if (read.kind === 'incomplete') continue;
    for (const more of ['\r\n\r\n', '\0'.repeat(20_000), 'Host: evil.example\r\n\r\n']) {
      expect(readFirstBytes(Buffer.concat([bytes, Buffer.from(more)])), title).toEqual(read);
    }
  }
});

test('nothing is waited for past the bound', () => {
  const openings = ['GET /', 'GET / HTTP/1.1\r\nA: ', 'abc', '\r\n', '\x16\x03\x01\x40\x00\x01\x00\x3f\xf0'];
  for (const opening of openings) {
    for (const filling of ['a', ' ', '\r\n', '\n', '.', '1']) {
      const bytes = Buffer.from(opening + filling.repeat(MAX_OPENING_BYTES), 'latin1');
      expect(readFirstBytes(bytes).kind, opening + filling).not.toBe('incomplete');
      expect(readFirstBytes(bytes.subarray(0, MAX_OPENING_BYTES)), opening + filling).toEqual(
        readFirstBytes(bytes),
      );
    }
  }
});

test('bytes that lie within a larger buffer are read alone', () => {
  const [vector] = vectors('http/clients');
  const bytes = vector?.bytes ?? Buffer.alloc(0);
  const around = Buffer.concat([
    Buffer.from('GET / HTTP/1.1\r\nHost: evil.example\r\n'),
    bytes,
    Buffer.from('Host: x'),
  ]);
  const within = new Uint8Array(around.buffer, around.byteOffset + 36, bytes.length);
  expect(readFirstBytes(within)).toEqual(readFirstBytes(bytes));
});
