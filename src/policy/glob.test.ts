import fc from 'fast-check';
import { expect, test } from 'vitest';
import { globHolds, globsMeet } from './glob.ts';

test.each([
  ['a*b', 'ab', true],
  ['a*b', 'axxb', true],
  ['a*b', 'axxbc', false],
  ['*', '', true],
  ['a**', 'a', true],
  ['*a*a*', 'aba', true],
  ['*a*a*', 'ab', false],
  ['', '', true],
  ['a.b', 'axb', false],
])('%j holds %j: %j', (glob, text, holds) => expect(globHolds(glob, text)).toBe(holds));

const globs = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 6 });
const texts = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });

test('a glob holds what the regular expression of it does', () => {
  fc.assert(
    fc.property(globs, texts, (glob, text) => {
      const pattern = new RegExp(`^${glob.replaceAll('*', '.*')}$`);
      expect(globHolds(glob, text)).toBe(pattern.test(text));
    }),
  );
});

/** Every text of a and b up to a length that suffices for globs of six characters. */
const all = [''];
for (const text of all) if (text.length < 8) all.push(`${text}a`, `${text}b`);

test('globs meet where there is a text both hold', () => {
  fc.assert(
    fc.property(globs, globs, (one, other) => {
      const both = all.some((text) => globHolds(one, text) && globHolds(other, text));
      expect(globsMeet(one, other)).toBe(both);
    }),
    { numRuns: 300 },
  );
});
