import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventDecoder, encodeEvent, HEARTBEAT } from './sse.ts';

const event = fc.record({
  id: fc.option(fc.stringMatching(/^[0-9A-Z]{1,26}$/)),
  data: fc.json(),
});

test('what is encoded is decoded, whatever the pieces, with beats between', () => {
  fc.assert(
    fc.property(fc.array(event), fc.integer({ min: 1, max: 50 }), (events, size) => {
      const bytes = Buffer.from(events.map(encodeEvent).join(HEARTBEAT));
      const decoder = new EventDecoder();
      const decoded = [];
      for (let at = 0; at < bytes.length; at += size)
        decoded.push(...decoder.push(bytes.subarray(at, at + size)));
      expect(decoded).toEqual(events);
    }),
  );
});

test('a line without end, and bytes that are no UTF-8, are refused', () => {
  expect(() => new EventDecoder().push(Buffer.alloc(2 << 20, 'x'))).toThrow(SyntaxError);
  expect(() => new EventDecoder().push(Buffer.from([0x64, 0xff]))).toThrow(SyntaxError);
});
