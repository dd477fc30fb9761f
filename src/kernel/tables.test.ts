import fc from 'fast-check';
import { expect, test } from 'vitest';
import { portBlocks } from './tables.ts';

test('a range of ports is cut into aligned blocks that hold it exactly, each port once', () => {
  const port = fc.integer({ min: 0, max: 65535 });
  fc.assert(
    fc.property(port, port, (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      let next = from;
      for (const [value, bits] of portBlocks(from, to)) {
        const size = 2 ** (16 - bits);
        expect(value).toBe(next);
        expect(value % size).toBe(0);
        next = value + size;
      }
      expect(next).toBe(to + 1);
    }),
  );
});

test('no range takes more than 30 blocks', () => {
  expect(portBlocks(1, 65534)).toHaveLength(30);
  expect(portBlocks(0, 65535)).toEqual([[0, 0]]);
});
