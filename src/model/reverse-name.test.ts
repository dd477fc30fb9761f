import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressBytes, addressFromBytes } from './address.ts';
import { normalizeName } from './name.ts';
import { reversedAddress } from './reverse-name.ts';

/** A reverse name as a resolver makes it, by the book. */
function reverseName(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`;
  return `${[...Buffer.from(bytes).toString('hex')].reverse().join('.')}.ip6.arpa`;
}

test('every address has its reverse name', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  fc.assert(
    fc.property(bytes, (address) => {
      const mapped = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address]);
      const whole = addressFromBytes(address.length === 4 ? mapped : address);
      expect(reversedAddress(reverseName(address))).toBe(whole);
    }),
  );
});

test('no other name has an address', () => {
  const label = fc.oneof(
    fc.stringMatching(/^[0-9a-f]{1,3}$/),
    fc.constantFrom('01', '256', '1e1', '_x', '0x7'),
  );
  const zone = fc.constantFrom('in-addr.arpa', 'ip6.arpa', 'arpa', 'in-addr.arpa.example');
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 33 }), zone, (labels, below) => {
      const name = normalizeName(`${labels.join('.')}.${below}`);
      const address = name && reversedAddress(name);
      if (!address) return;
      const bytes = addressBytes(address);
      const short = name.endsWith('.in-addr.arpa') ? bytes.subarray(12) : bytes;
      expect(reverseName(short)).toBe(name);
    }),
  );
});

test.each([
  '2.0.192.in-addr.arpa',
  '1.7.2.0.192.in-addr.arpa',
  '07.2.0.192.in-addr.arpa',
  '300.2.0.192.in-addr.arpa',
  '5-26.2.0.192.in-addr.arpa',
  'in-addr.arpa',
  '8.b.d.0.1.0.0.2.ip6.arpa',
  `${'00.'.repeat(32)}ip6.arpa`,
  '7.2.0.192.in-addr.arpa.example.com',
])('%s is no address', (name) => expect(reversedAddress(name)).toBeNull());
