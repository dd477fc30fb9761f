import fc from 'fast-check';
import { expect, test } from 'vitest';
import { prefixHolds } from '../model/address.ts';
import { hostHolds, readHost } from './pattern.ts';
import { type Pattern, PatternIndex } from './pattern-index.ts';
import { readPrefix } from './prefix.ts';
import { isFault } from './problem.ts';

const HOSTS = ['*', '*.c', '*.b.c', '*.a.b.c', 'b.c', 'a.b.c', 'x.a.b.c', 'c', '*.xb.c', 'xb.c'];
const PREFIXES = ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/9', '10.0.0.1', '10.128.0.0/9', '11.0.0.0/8', '::/0'];
const MORE = ['2001:db8::/32', '2001:db8::1', '::/1', '0.0.0.0/1'];

const pattern = fc.oneof(
  fc.constantFrom(...HOSTS).map((text): Pattern => {
    const host = readHost(text);
    if (isFault(host)) throw new Error(text);
    return { host, address: null };
  }),
  fc.constantFrom(...PREFIXES, ...MORE).map((text): Pattern => {
    const address = readPrefix(text);
    if (isFault(address)) throw new Error(text);
    return { host: null, address };
  }),
);

const textOf = ({ host, address }: Pattern) => host?.text ?? address?.text ?? '';

/** Whether one holds all the other does, by what each is. */
function holdsAll(outer: Pattern, inner: Pattern): boolean {
  if (outer.host && inner.host) {
    if (outer.host.kind === 'any') return true;
    if (inner.host.kind === 'any') return false;
    if (inner.host.kind === 'exact') return hostHolds(outer.host, inner.host.name);
    const sample = `sample.${inner.host.name}`;
    return outer.host.kind === 'below' && hostHolds(outer.host, sample);
  }
  if (!outer.address || !inner.address || outer.address.family !== inner.address.family) return false;
  return outer.address.length <= inner.address.length && prefixHolds(outer.address, inner.address.bytes);
}

test('patterns around and within another are found, and no others', () => {
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 12 }), pattern, (all, asked) => {
      const index = new PatternIndex(all.map((one, i) => ({ pattern: one, value: i })));
      const found = (list: readonly { value: number }[]) => list.map(({ value }) => value).sort();
      const expected = (test: (one: Pattern) => boolean) =>
        all.flatMap((one, i) => (test(one) ? [i] : [])).sort();
      const isSame = (one: Pattern) => textOf(one) === textOf(asked);
      expect(found(index.same(asked))).toEqual(expected(isSame));
      expect(found(index.around(asked))).toEqual(expected((one) => !isSame(one) && holdsAll(one, asked)));
      expect(found(index.within(asked))).toEqual(expected((one) => !isSame(one) && holdsAll(asked, one)));
    }),
    { numRuns: 3000 },
  );
});
