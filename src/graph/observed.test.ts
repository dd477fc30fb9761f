import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareTimes, formatEdge, mergeEdges, type ObservedEdge, readEdge, seenSince } from './observed.ts';

const at = (day: number) => `2026-11-${String(day).padStart(2, '0')}T00:00:00.000000000Z`;
const edge = (first: number, last: number, calls: number, host = 'h', denied = 0): ObservedEdge => ({
  ...{ from: { kind: 'service', name: 'migrations' }, to: 'github', host, calls, denied },
  ...{ first: at(first), last: at(last) },
});

test('tellings of one time are not counted twice, and those of different times add up', () => {
  expect(mergeEdges([edge(1, 3, 5), edge(1, 3, 5)])).toEqual([edge(1, 3, 5)]);
  expect(mergeEdges([edge(1, 3, 5), edge(1, 4, 8)])).toEqual([edge(1, 4, 8)]);
  expect(mergeEdges([edge(6, 7, 2), edge(1, 3, 5)])).toEqual([edge(1, 7, 7)]);
  expect(mergeEdges([edge(1, 3, 5, 'h'), edge(1, 3, 5, 'other')])).toHaveLength(2);
});

const edges = fc.array(
  fc
    .tuple(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 0, max: 9 }),
      fc.nat(9),
      fc.constantFrom('h', 'i'),
      fc.nat(3),
    )
    .map(([first, length, calls, host, denied]) => edge(first, first + length, calls, host, denied)),
  { maxLength: 6 },
);

test('to merge again changes nothing, whatever was merged; hosts and the first and last time are kept', () => {
  fc.assert(
    fc.property(edges, edges, (a, b) => {
      const once = mergeEdges([...a, ...b]);
      expect(mergeEdges([...once, ...once])).toEqual(once);
      for (const one of [...a, ...b]) {
        const merged = once.find(({ host }) => host === one.host);
        expect(
          merged && compareTimes(merged.first, one.first) <= 0 && compareTimes(merged.last, one.last) >= 0,
        ).toBe(true);
        expect(merged?.calls).toBeGreaterThanOrEqual(one.calls);
      }
    }),
  );
});

test('a file merged into what holds it changes nothing', () => {
  fc.assert(
    fc.property(edges, edges, (kept, file) => {
      const once = mergeEdges([...kept, ...mergeEdges(file)]);
      expect(mergeEdges([...once, ...mergeEdges(file)])).toEqual(once);
    }),
  );
});

test('those not seen since a moment are old', () => {
  expect(seenSince([edge(1, 2, 1), edge(1, 5, 1)], new Date(at(3)))).toEqual([edge(1, 5, 1)]);
});

test('times compare to the nanosecond, with however many digits', () => {
  expect(compareTimes('2026-11-01T00:00:00Z', '2026-11-01T00:00:00.000000001Z')).toBe(-1);
  expect(compareTimes('2026-11-01T00:00:00.5Z', '2026-11-01T00:00:00.500000000Z')).toBe(0);
});

test('a line is read as it was written', () => {
  fc.assert(
    fc.property(edges, (all) => {
      expect(all.map((one) => readEdge(formatEdge(one)))).toEqual(all);
    }),
  );
});

test.each([
  ['', 'not JSON'],
  ['null', 'not an edge of version 1'],
  [{ v: 2 }, 'not an edge of version 1'],
  [{ from: {} }, '`from`'],
  [{ from: { service: 'a', deployment: 'b' } }, '`from`'],
  [{ from: { service: '__proto__' } }, '`from`'],
  [{ to: 'A B' }, '`to`'],
  [{ to: 'x'.repeat(129) }, '`to`'],
  [{ host: 'h\u001b[31m' }, '`host`'],
  [{ calls: -1 }, 'counts'],
  [{ denied: 1.5 }, 'counts'],
  [{ calls: 2 ** 60 }, 'counts'],
  [{ first: at(9) }, 'times'],
  [{ last: 'tomorrow' }, 'times'],
])('%j is refused', (change, why) => {
  const good = JSON.parse(formatEdge(edge(1, 3, 5)));
  const line = typeof change === 'string' ? change : JSON.stringify({ ...good, ...change });
  expect(readEdge(line)).toContain(why);
});

test('whatever a stranger writes is an edge or a reason, and nothing is thrown', () => {
  const key = fc.constantFrom('v', 'kind', 'from', 'to', 'host', 'calls', 'denied', 'first', 'last');
  fc.assert(
    fc.property(fc.dictionary(key, fc.jsonValue()), fc.string(), (fields, text) => {
      const good = JSON.parse(formatEdge(edge(1, 3, 5)));
      for (const line of [text, JSON.stringify(fields), JSON.stringify({ ...good, ...fields })]) {
        const read = readEdge(line);
        if (typeof read !== 'string') expect(readEdge(formatEdge(read))).toEqual(read);
      }
    }),
    { numRuns: 2000 },
  );
});
