import { describe, expect, test } from 'vitest';
import { type Recorded, recorded } from '../../test/recorded.ts';
import { SeenDestinations } from './seen.ts';

function isNew(before: readonly Recorded[], now: Recorded): boolean {
  const seen = new SeenDestinations(['10.0.0.5']);
  for (const each of before) seen.add(recorded(each));
  return !seen.has(recorded(now));
}

describe('a destination is known', () => {
  test.each<[string, Recorded, Recorded]>([
    [
      'by its name, wherever it leads now',
      { names: ['a.example'], address: '192.0.2.1' },
      { names: ['a.example'], address: '192.0.2.2' },
    ],
    ['by any of its names', { names: ['a.example'] }, { names: ['alias.example', 'a.example'] }],
    ['by its address, where it has no name', { names: ['a.example'] }, { names: [] }],
    [
      'as a lookup by the name asked for',
      { kind: 'dns', names: ['a.example'] },
      { kind: 'dns', names: ['a.example', 'new.example'] },
    ],
    [
      'if it is only a look at the route to it',
      { names: ['a.example'] },
      { names: ['a.example'], protocol: 'udp' },
    ],
    ['if it is loopback', {}, { address: '127.0.0.1', port: 40_000 }],
    ["if it is this host's own address", {}, { address: '10.0.0.5' }],
  ])('%s', (_, before, now) => expect(isNew([before], now)).toBe(false));
});

describe('a destination is new', () => {
  test.each<[string, Recorded, Recorded]>([
    ['by another name at a known address', { names: ['a.example'] }, { names: ['b.example'] }],
    ['at another port', { names: ['a.example'] }, { names: ['a.example'], port: 80 }],
    [
      'by another protocol',
      { names: ['a.example'] },
      { kind: 'send', names: ['a.example'], protocol: 'udp' },
    ],
    [
      'as a call where there was a lookup only',
      { kind: 'dns', names: ['a.example'] },
      { names: ['a.example'] },
    ],
  ])('%s', (_, before, now) => expect(isNew([before], now)).toBe(true));
});
