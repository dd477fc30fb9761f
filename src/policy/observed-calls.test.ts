import { expect, test } from 'vitest';
import { recorded } from '../../test/recorded.ts';
import type { AuditEvent } from '../model/event.ts';
import { compile } from './compile.ts';
import { ObservedCalls } from './observed-calls.ts';
import { parsePolicy } from './parse.ts';

const { policy } = parsePolicy([
  {
    path: 'p',
    text: `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com], addresses: [192.0.2.0/24] }
  pages: { hosts: [pages.github.com], addresses: [192.0.2.9] }
deployments: { mysql: {} }`,
  },
]);
const none = { allow: [], deny: [], default: null, mode: null, ownAddresses: [], now: new Date(0) };
const { services } = compile(policy, { deployment: 'mysql', ...none });

function edges(events: readonly AuditEvent[], of: typeof services | null = services) {
  const calls = new ObservedCalls(of);
  for (const event of events) calls.add(event);
  return calls
    .edges()
    .map(({ from, to, calls: let_through, denied }) => [from.kind, from.name, to, let_through, denied]);
}

const call = (given: Parameters<typeof recorded>[0] = {}) =>
  recorded({ deployment: 'mysql', names: ['github.com'], address: '192.0.2.7', ...given });

test('calls of a run are of its deployment, those of an attached service of that service; counts add up', () => {
  const attached = { ...call({ count: 4 }), attached: 'migrations', deployment: null };
  expect(edges([call({ count: 2 }), call({ count: 3 }), attached])).toEqual([
    ['deployment', 'mysql', 'github', 5, 0],
    ['service', 'migrations', 'github', 4, 0],
  ]);
});

test('first and last are those of the calls, in whatever order they are told', () => {
  const calls = new ObservedCalls(services);
  for (const day of ['02', '01', '03']) calls.add(call({ time: `2026-11-${day}T00:00:00.000000000Z` }));
  expect(calls.edges()).toMatchObject([
    { host: 'db-1', first: '2026-11-01T00:00:00.000000000Z', last: '2026-11-03T00:00:00.000000000Z' },
  ]);
});

test('a call belongs to the closest service the policy has for it now; where it has none, to that of the event', () => {
  const told = (event: AuditEvent, service: string | null) => ({
    ...event,
    destination: event.destination && { ...event.destination, service },
  });
  expect(edges([told(call({ names: [] }), 'old')])).toEqual([['deployment', 'mysql', 'github', 1, 0]]);
  expect(edges([told(call({ names: [], address: '192.0.2.9' }), 'old')])[0]?.[2]).toBe('pages');
  expect(edges([told(call({ names: ['else.example'], address: '203.0.113.1' }), 'old')])[0]?.[2]).toBe('old');
  expect(edges([told(call(), 'old')], null)[0]?.[2]).toBe('old');
  expect(edges([told(call({ names: ['else.example'], address: '203.0.113.1' }), 'Not A Name')])).toEqual([]);
  expect(edges([told(call(), null)], null)).toEqual([]);
});

test('of the names of an address the one that was asked for counts', () => {
  const lookup = recorded({ kind: 'dns', names: ['pages.github.com'], deployment: 'mysql' });
  expect(edges([lookup, call({ names: ['github.com', 'pages.github.com'] })])[0]?.[2]).toBe('pages');
});

test('denied calls are counted apart, and a lookup only where it was denied', () => {
  const denied = { verdict: 'deny', rule: 'circular', cycle: ['mysql', 'github', 'mysql'] } as const;
  const lookup = { kind: 'dns', address: null, port: 53, protocol: 'udp' } as const;
  expect(edges([call(), call(denied), call({ ...lookup, ...denied }), call(lookup)])).toEqual([
    ['deployment', 'mysql', 'github', 1, 2],
  ]);
  expect(
    edges([call({ verdict: 'would-deny', rule: 'circular', cycle: ['mysql', 'github', 'mysql'] })]),
  ).toEqual([['deployment', 'mysql', 'github', 1, 0]]);
});

test('a look at the route, a run without a deployment and a call of a service to itself are none', () => {
  const own = { ...call(), attached: 'github' };
  expect(edges([call({ protocol: 'udp', kind: 'connect' }), call({ deployment: null }), own])).toEqual([]);
});
