import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDest, parseDest } from './dest.ts';
import { isFault } from './problem.ts';

test.each([
  ['github.com', 'github.com'],
  ['GitHub.com.:443', 'github.com:443'],
  ['*.github.com:443/tcp', '*.github.com:443/tcp'],
  ['*', '*'],
  ['10.0.0.0/8:3306', '10.0.0.0/8:3306'],
  ['10.0.0.7', '10.0.0.7'],
  ['[2001:db8::1]:443', '[2001:db8::1]:443'],
  ['[2001:db8::/32]:1-2/udp', '[2001:db8::/32]:1-2/udp'],
  ['2001:DB8::/32', '2001:db8::/32'],
  ['::1', '::1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['service:mirror', 'service:mirror'],
  ['service:mirror:443', 'service:mirror:443'],
])('%s is read, and written %s', (text, canonical) => {
  const dest = parseDest(text);
  if (isFault(dest)) throw new Error(dest.message);
  expect(dest.text).toBe(text);
  expect(formatDest(dest)).toBe(canonical);
});

test.each([
  ['10.0.0.1/8', '10.0.0.0/8'],
  ['10.0.0.1/8:22', '10.0.0.0/8:22'],
  ['https://github.com/x', 'github.com'],
  ['2001:db8::/32:443', '[2001:db8::/32]:443'],
  ['github.com:https', 'github.com:443'],
  ['service:Mirror', 'service:mirror'],
  ['999.1.1.1', null],
  ['10.0.0.1:70000', null],
  ['010.0.0.1', null],
  ['127.1', null],
  ['', null],
  ['[::1', null],
])('%s is refused; meant: %s', (text, suggestion) => {
  const dest = parseDest(text);
  expect(isFault(dest) && dest.suggestion).toBe(suggestion);
});

test('any text is read or refused, never thrown on, and what is read is read again from its canonical form', () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'ab1.:/[]*-0service') }));
  fc.assert(
    fc.property(text, (written) => {
      const dest = parseDest(written);
      if (isFault(dest)) return;
      const again = parseDest(formatDest(dest));
      expect(isFault(again) ? again.message : formatDest(again)).toBe(formatDest(dest));
    }),
    { numRuns: 3000 },
  );
});
