import { describe, expect, test } from 'vitest';
import type { Name } from '../model/name.ts';
import { compile } from './compile.ts';
import { evaluateLookup } from './evaluate.ts';
import { parsePolicy } from './parse.ts';

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com], addresses: [192.0.2.0/24], depends_on: [mysql] }
deployments:
  mysql:
    allow:
      - { address: 10.0.0.0/8, ports: [3306/tcp] }
      - { address: "2001:db8::/32" }
      - { host: db.internal }
      - { host: "*.apps.internal" }
      - { host: mirror.internal }
    audit: [{ address: 172.16.0.1 }]
    deny: [{ host: closed.internal }, { host: "*.apps.internal", ports: [22] }, { address: 10.9.9.9 }]
`;

function lookup(
  names: readonly Name[],
  fallback: 'allow' | 'deny' = 'deny',
  known: Record<string, Name[]> = {},
) {
  const { policy } = parsePolicy([{ path: 'acyclic.yaml', text: POLICY }]);
  const none = { deployment: null, allow: [], deny: [], mode: null, ownAddresses: ['10.86.0.9'] };
  const compiled = compile(policy, { ...none, default: fallback, now: new Date(0) });
  const { verdict, rule } = evaluateLookup(
    compiled,
    names,
    (address) => known[address]?.map((name) => [name]) ?? [],
  );
  return `${verdict} by ${rule.kind}`;
}

describe('a reverse lookup is judged as its address is', () => {
  test.each([
    ['an allowed address', '1.0.0.10.in-addr.arpa', 'allow by allow'],
    ['an allowed IPv6 address', `${'0.'.repeat(24)}8.b.d.0.1.0.0.2.ip6.arpa`, 'allow by allow'],
    ['loopback', '1.0.0.127.in-addr.arpa', 'allow by default'],
    ["the host's own address", '9.0.86.10.in-addr.arpa', 'allow by default'],
    ['an audited address', '1.0.16.172.in-addr.arpa', 'would-deny by audit'],
    ['an address no rule names', '1.0.0.203.in-addr.arpa', 'deny by default'],
    ['a denied address: as the default says', '9.9.9.10.in-addr.arpa', 'deny by default'],
    ['a circular address: as the default says', '7.2.0.192.in-addr.arpa', 'deny by default'],
    ['a whole prefix, which is no address', '0.10.in-addr.arpa', 'deny by default'],
    ['a misspelt octet', '01.0.0.10.in-addr.arpa', 'deny by default'],
  ])('%s', (_, name, expected) => expect(lookup([name])).toBe(expected));

  test('a denied address under default: allow', () =>
    expect(lookup(['7.2.0.192.in-addr.arpa'], 'allow')).toBe('allow by default'));

  test('an address that an allowed name led to', () => {
    const name = '5.113.0.203.in-addr.arpa';
    expect(lookup([name], 'deny', { '203.0.113.5': ['mirror.internal'] })).toBe('allow by allow');
    expect(lookup([name], 'deny', { '203.0.113.5': ['closed.internal', 'mirror.internal'] })).toBe(
      'allow by allow',
    );
    expect(lookup([name], 'deny', { '203.0.113.5': ['closed.internal'] })).toBe('deny by default');
  });

  test('an alias within a reverse zone, and a denied alias', () => {
    const name = '1.0.0.10.in-addr.arpa';
    expect(lookup([name, '1.0-63.0.0.10.in-addr.arpa'])).toBe('allow by allow');
    expect(lookup([name, 'closed.internal'])).toBe('deny by deny');
  });
});

describe('an attribute of a name is judged with the name it belongs to', () => {
  test.each([
    ['_mysql._tcp.db.internal', 'allow by allow'],
    ['_8443._https.db.internal', 'allow by allow'],
    ['_acme-challenge.db.internal', 'allow by allow'],
    ['_mysql._tcp.one.apps.internal', 'allow by allow'],
    ['_mysql._tcp.apps.internal', 'allow by allow'],
    ['_https._tcp.github.com', 'deny by circular'],
    ['_https._tcp.closed.internal', 'deny by deny'],
    ['_https._tcp.unknown.internal', 'deny by default'],
    ['_a._b._c.db.internal', 'deny by default'],
    ['_longer-than-a-service-is._tcp.db.internal', 'deny by default'],
    ['x._tcp.db.internal', 'deny by default'],
  ])('%s: %s', (name, expected) => expect(lookup([name])).toBe(expected));

  test('also under default: allow', () => {
    expect(lookup(['_https._tcp.github.com'], 'allow')).toBe('deny by circular');
    expect(lookup(['_https._tcp.unknown.internal'], 'allow')).toBe('allow by default');
  });
});
