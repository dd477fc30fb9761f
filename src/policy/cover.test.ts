import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressBytes, parsePrefix, prefixHolds } from '../model/address.ts';
import { coverHosts, coverPorts, coverPrefixes } from './cover.ts';
import { readHost } from './pattern.ts';
import { type PortSpec, portsHold, readPorts } from './ports.ts';
import { isFault } from './problem.ts';

function read<T>(value: T): Exclude<T, string | { suggestion: unknown } | { hostBitsSet: string }> {
  if (typeof value === 'string' || isFault(value)) throw new Error(JSON.stringify(value));
  return value as never;
}
const hosts = (...texts: string[]) => coverHosts(texts.map((text) => read(readHost(text))));
const prefixes = (...texts: string[]) => coverPrefixes(texts.map((text) => read(parsePrefix(text))));
const ports = (...texts: string[]) => coverPorts(texts.map((text) => read(readPorts(text))));

test('hosts that a wildcard holds add nothing; the name above a wildcard does', () => {
  expect(hosts('a.b.c', '*.b.c', 'b.c', '*.x.b.c')).toEqual(['*.b.c', 'b.c']);
  expect(hosts('a.b', '*')).toEqual(['*']);
});

test('halves make their whole, and what is inside adds nothing', () => {
  expect(prefixes('10.0.0.1', '10.0.0.0', '10.0.0.2/31', '10.0.0.3')).toEqual(['10.0.0.0/30']);
  expect(prefixes('10.0.0.0/9', '10.128.0.0/9', '10.1.2.3', '::/1', '8000::/1')).toEqual([
    '10.0.0.0/8',
    '::/0',
  ]);
});

test('neighbouring ports are a range, and both protocols none', () => {
  expect(ports('80', '81/tcp', '82/tcp', '443/tcp', '443/udp')).toEqual(['80/udp', '80-82/tcp', '443']);
});

test('a cover holds exactly what it covers', () => {
  const octet = fc.integer({ min: 0, max: 7 });
  const prefix = fc
    .tuple(octet, fc.integer({ min: 29, max: 32 }))
    .map(([last, length]) => `10.0.0.${last & (0xff << (32 - length))}/${length}`);
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 6 }), (texts) => {
      const given = texts.map((text) => read(parsePrefix(text)));
      const cover = coverPrefixes(given).map((text) => read(parsePrefix(text)));
      for (let last = 0; last < 9; last++) {
        const bytes = addressBytes(`10.0.0.${last}`);
        const held = (all: typeof given) => all.some((each) => prefixHolds(each, bytes));
        expect(held(cover)).toBe(held(given));
      }
    }),
  );
  const spec: fc.Arbitrary<PortSpec> = fc
    .record({
      protocol: fc.constantFrom(null, 'tcp' as const, 'udp' as const),
      from: fc.integer({ min: 0, max: 9 }),
      more: octet,
    })
    .map(({ protocol, from, more }) => ({ protocol, from, to: from + more }));
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 6 }), (given) => {
      const cover = coverPorts(given).map((text) => read(readPorts(text)));
      for (const protocol of ['tcp', 'udp'] as const)
        for (let port = 0; port < 18; port++)
          expect(portsHold(cover, protocol, port)).toBe(portsHold(given, protocol, port));
    }),
  );
});
