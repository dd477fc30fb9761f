import { expect, test } from 'vitest';
import { builtinServices } from './builtin.ts';
import { compile } from './compile.ts';
import { evaluateLookup } from './evaluate.ts';
import { evaluateCall } from './opening.ts';
import { parsePolicy } from './parse.ts';
import { PUBLIC_DNS } from './public-dns.ts';

test('every entry of the well-known public resolvers is read, in its canonical form, and is there once', () => {
  const service = builtinServices.get('public-dns');
  const hosts = PUBLIC_DNS.flatMap((operator) => operator.hosts);
  const addresses = PUBLIC_DNS.flatMap((operator) => operator.addresses);
  expect(service?.hosts.map(({ text }) => text)).toEqual(hosts);
  expect(service?.addresses.map(({ text }) => text)).toEqual(addresses);
  expect(new Set([...hosts, ...addresses]).size).toBe(hosts.length + addresses.length);
});

const compiled = (floor: string, rule: string, fallback: 'allow' | 'deny') => {
  const text = `version: 1\nservices: { x: {} }\n${floor}\ndeployments: { x: { ${rule} } }\n`;
  const { policy } = parsePolicy([{ path: 'acyclic.yaml', text }]);
  const none = {
    deployment: null,
    allow: [],
    deny: [],
    mode: 'enforce' as const,
    ownAddresses: [],
    now: new Date(0),
  };
  return compile(policy, { ...none, default: fallback });
};

test.each([
  ['dns.google', '8.8.8.8'],
  ['one.one.one.one', '2606:4700:4700::1111'],
  ['mozilla.cloudflare-dns.com', '1.0.0.1'],
  ['dns.quad9.net', '9.9.9.9'],
  ['doh.opendns.com', '208.67.222.222'],
  ['abc123.dns.nextdns.io', '45.90.28.77'],
])('one line closes %s and %s over TLS and HTTPS, and one line opens them', (name, address) => {
  const closed = compiled('floor: { deny: [{ service: public-dns }] }', '', 'allow');
  const open = compiled('', 'allow: [{ service: public-dns }]', 'deny');
  for (const port of [443, 853]) {
    const call = { address, port, protocol: 'tcp', chains: [] } as const;
    expect(evaluateCall(closed, call)).toMatchObject({ verdict: 'deny', service: 'public-dns' });
    expect(evaluateCall(open, call).verdict).toBe('allow');
  }
  expect(evaluateLookup(closed, [name])).toMatchObject({ verdict: 'deny', service: 'public-dns' });
  expect(evaluateLookup(open, [name]).verdict).toBe('allow');
});
