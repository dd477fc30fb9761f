import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AnswerFault, AnswerReader } from './http-answer.ts';

/** What is read of an answer that comes in pieces, cut at these places. */
function read(text: string, cuts: readonly number[] = []): { status: number; body: string; done: boolean } {
  const bytes = Buffer.from(text, 'latin1');
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  const reader = new AnswerReader();
  const pieces = places.slice(1).flatMap((end, index) => reader.push(bytes.subarray(places[index], end)));
  return { status: reader.status, body: Buffer.concat(pieces).toString('latin1'), done: reader.done };
}

const CHUNKED =
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n';
const COUNTED = 'HTTP/1.1 404 Not Found\r\nX: y\r\nContent-Length: 5\r\n\r\nhello';

test('a body by its length, in chunks, or none', () => {
  expect(read(COUNTED)).toEqual({ status: 404, body: 'hello', done: true });
  expect(read(CHUNKED)).toEqual({ status: 200, body: 'abc0123456789', done: true });
  expect(read('HTTP/1.1 204 No Content\r\n\r\n')).toEqual({ status: 204, body: '', done: true });
});

test('it is the same in whatever pieces it comes', () => {
  fc.assert(
    fc.property(fc.constantFrom(CHUNKED, COUNTED), fc.array(fc.nat(200)), (text, cuts) => {
      expect(read(text, cuts)).toEqual(read(text));
    }),
  );
});

test('what ends too soon is not done', () => {
  for (const text of [CHUNKED, COUNTED])
    for (let end = 0; end < text.length; end++) expect(read(text.slice(0, end)).done).toBe(false);
});

test.each([
  'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  'HTTP/1.1 20 OK\r\n\r\n',
  'HTTP/1.1 200 OK\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
  `${'x'.repeat(20_000)}`,
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'0'.repeat(100)}`,
  `${COUNTED}more`,
])('%j is no answer of the daemon', (text) => {
  expect(() => read(text)).toThrow(AnswerFault);
});

test('noise is an answer, no answer yet, or a fault, and nothing else', () => {
  fc.assert(
    fc.property(fc.constantFrom('', CHUNKED, COUNTED), fc.nat(100), fc.uint8Array(), (text, at, noise) => {
      try {
        read(text.slice(0, at) + Buffer.from(noise).toString('latin1') + text.slice(at));
      } catch (error) {
        expect(error).toBeInstanceOf(AnswerFault);
      }
    }),
  );
});
