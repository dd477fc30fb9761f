import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameReader, frame } from './frame.ts';

test('messages come out whole however the stream is cut', () => {
  const message = fc.uint8Array({ minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.integer({ min: 1, max: 20 })), (messages, cuts) => {
      const stream = Buffer.concat(messages.map(frame));
      const reader = new FrameReader(100);
      const out: Buffer[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = cuts[i % Math.max(1, cuts.length)] ?? 7;
        out.push(...(reader.push(stream.subarray(at, at + size)) ?? []));
        at += size;
      }
      expect(out.map((one) => one.toString('hex'))).toEqual(
        messages.map((one) => Buffer.from(one).toString('hex')),
      );
    }),
  );
});

test('an empty or oversized message ends the stream before its bytes are held', () => {
  expect(new FrameReader(100).push(Buffer.from([0, 0]))).toBeNull();
  expect(new FrameReader(100).push(Buffer.from([0, 101]))).toBeNull();
});
