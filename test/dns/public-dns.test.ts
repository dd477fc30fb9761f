import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ground, openGround } from './ground.ts';

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
floor:
  deny: [{ service: public-dns }]
deployments:
  mysql: { default: allow }
`;

let ground: Ground;
beforeAll(async () => {
  ground = await openGround(POLICY);
});
afterAll(() => ground.close());

test.each([
  [
    'DNS over TLS, by address',
    ['dig', '+tls', '+tries=1', '@9.9.9.9', 'github.com'],
    /→ 9\.9\.9\.9:853\/tcp/,
  ],
  [
    'DNS over HTTPS, by address',
    ['dig', '+https', '+tries=1', '@1.1.1.1', 'github.com'],
    /→ 1\.1\.1\.1:443\/tcp/,
  ],
  [
    'DNS over HTTPS, by IPv6',
    ['curl', '-sS', 'https://[2620:fe::fe]/dns-query'],
    /→ \[2620:fe::fe\]:443\/tcp/,
  ],
  ['DNS over HTTPS, by name', ['curl', '-sS', 'https://dns.google/dns-query'], /→ dns\.google \(dns\)/],
  [
    'DNS over HTTPS, by a profile',
    ['curl', '-sS', 'https://x1.dns.nextdns.io/'],
    /→ x1\.dns\.nextdns\.io \(dns\)/,
  ],
])('one line of policy closes %s', async (_, argv, target) => {
  const { code, output, asked } = await ground.guarded(argv);
  expect(code).not.toBe(0);
  expect(output).toMatch(target);
  expect(output).toMatch(/rule +floor \(policy-\d+\.yaml:5, service public-dns\)/);
  expect(asked).toEqual([]);
});

test('a public resolver asked over port 53 is not asked: the guard answers in its place', async () => {
  const { output, denials, asked } = await ground.guarded(['dig', '+short', '@9.9.9.9', 'vault.internal']);
  expect({ output, denials, asked }).toEqual({
    output: '10.86.0.40\n',
    denials: 0,
    asked: ['vault.internal A'],
  });
});
