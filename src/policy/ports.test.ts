import { expect, test } from 'vitest';
import { intersectPorts, portsHold, readPorts } from './ports.ts';
import { isFault } from './problem.ts';

test.each([
  [443, { protocol: null, from: 443, to: 443 }],
  ['443', { protocol: null, from: 443, to: 443 }],
  ['443/tcp', { protocol: 'tcp', from: 443, to: 443 }],
  ['8000-8100/udp', { protocol: 'udp', from: 8000, to: 8100 }],
  ['0-65535', { protocol: null, from: 0, to: 65535 }],
])('reads %s', (text, spec) => expect(readPorts(text)).toEqual(spec));

test.each([
  [70000, null],
  ['8100-8000/tcp', '8000-8100/tcp'],
  ['443/tpc', '443/tcp'],
  ['https', '443'],
  ['-1', null],
  [1.5, null],
  ['1-2-3', null],
  ['443/tcp/x', null],
])('refuses %s', (text, suggestion) => {
  const read = readPorts(text);
  expect(isFault(read) && [read.code, read.suggestion]).toEqual(['bad-port', suggestion]);
});

test('a port without a protocol is of both, and what has no ports is held by no port', () => {
  const both = [{ protocol: null, from: 53, to: 53 }];
  expect(portsHold(both, 'tcp', 53) && portsHold(both, 'udp', 53)).toBe(true);
  expect(portsHold(both, 'other', 53)).toBe(false);
  expect(portsHold(null, 'other', 0)).toBe(true);
});

test('ports in common keep the narrower protocol; none in common is an empty list, not every port', () => {
  const service = [{ protocol: 'tcp' as const, from: 80, to: 90 }];
  expect(intersectPorts([{ protocol: null, from: 85, to: 99 }], service)).toEqual([
    { protocol: 'tcp', from: 85, to: 90 },
  ]);
  expect(intersectPorts([{ protocol: 'udp', from: 80, to: 90 }], service)).toEqual([]);
  expect(intersectPorts(null, null)).toBeNull();
});
