import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressBytes, addressFromBytes, parseAddress, parsePrefix, prefixHolds } from './address.ts';
import { normalizeName } from './name.ts';

describe('parseAddress', () => {
  test.each([
    '127.1',
    '010.0.0.1',
    '0x7f.0.0.1',
    '1.2.3',
    '::ffff:010.0.0.1',
    '::ffff:0x1.2.3.4',
    'fe80::1%eth0',
    '',
    '1.2.3.4.',
  ])('refuses %s', (text) => expect(parseAddress(text)).toBeNull());
  test.each([
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:a00:1', '10.0.0.1'],
    ['2001:DB8::0:1', '2001:db8::1'],
  ])('reads %s as %s', (text, canonical) => expect(parseAddress(text)).toBe(canonical));

  test('takes nothing that the system does not, and its own spelling back', () => {
    const texts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-fx.:%]{1,20}$/));
    fc.assert(
      fc.property(texts, (text) => {
        const address = parseAddress(text);
        if (address === null) return;
        expect(isIP(text)).not.toBe(0);
        expect(parseAddress(address)).toBe(address);
        expect(addressFromBytes(addressBytes(address))).toBe(address);
        if (!address.includes(':'))
          expect(addressFromBytes(addressBytes(address).subarray(12))).toBe(address);
      }),
    );
  });
});

test('a prefix holds addresses of its family only', () => {
  const all = (text: string) => {
    const prefix = parsePrefix(text);
    if (typeof prefix !== 'object' || !('bytes' in prefix)) throw new Error(text);
    return ['10.0.0.1', '2001:db8::1'].filter((address) => prefixHolds(prefix, addressBytes(address)));
  };
  expect(all('::/0')).toEqual(['2001:db8::1']);
  expect(all('0.0.0.0/0')).toEqual(['10.0.0.1']);
  expect(parsePrefix('10.0.0.1/8')).toEqual({ hostBitsSet: '10.0.0.0/8' });
});

describe('normalizeName', () => {
  test('lower case, without the trailing dot', () => expect(normalizeName('GitHub.COM.')).toBe('github.com'));
  test.each(['git\u212aub.com', 'a..b', '.a', 'a b', `${'a'.repeat(64)}.b`, '-a.b', 'a/b', ''])(
    'refuses %j',
    (text) => expect(normalizeName(text)).toBeNull(),
  );
});
