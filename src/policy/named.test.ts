import { expect, test } from 'vitest';
import { compile } from './compile.ts';
import { evaluateNamed, type Named } from './named.ts';
import { parsePolicy } from './parse.ts';

const { policy } = parsePolicy([
  {
    path: 'p.yaml',
    text: `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], addresses: [192.0.2.0/24], depends_on: [mysql] }
deployments:
  mysql:
    allow:
      - { host: vault.internal, ports: [8200/tcp] }
      - { host: "*.mirror.internal" }
      - { address: 10.0.0.0/8, ports: [3306] }
    deny:
      - { host: secret.mirror.internal }
      - { id: tls, host: both.example, ports: [443] }
      - { id: plain, host: both.example, ports: [80] }
`,
  },
]);
const compiled = compile(policy, {
  ...{ deployment: null, allow: [], deny: [], default: null, mode: null, now: new Date() },
  ownAddresses: ['10.1.1.1'],
});

test.each<[Partial<Named>, string, string | null]>([
  [{ name: 'github.com', port: 443 }, 'deny', 'github'],
  [{ name: 'github.com' }, 'deny', 'github'],
  [{ name: '*.github.com', port: 22 }, 'deny', 'github'],
  [{ name: 'vault.internal', port: 8200 }, 'allow', null],
  [{ name: 'vault.internal', port: 443 }, 'deny', null],
  [{ name: 'vault.internal' }, 'allow', null],
  [{ name: 'vault.internal', port: 8200, protocol: 'udp' }, 'deny', null],
  [{ name: '*.mirror.internal', port: 80 }, 'allow', null],
  [{ name: 'secret.mirror.internal', port: 80 }, 'deny', null],
  [{ name: 'db-1.mysql.internal', port: 3306 }, 'deny', 'mysql'],
  [{ address: '192.0.2.7' }, 'deny', 'github'],
  [{ address: '10.0.0.7', port: 3306 }, 'allow', null],
  [{ address: '10.0.0.7', port: 443 }, 'deny', null],
  [{ address: '10.0.0.7' }, 'allow', null],
  [{ address: '10.0.0.7', protocol: 'other' }, 'deny', null],
  [{ address: '127.0.0.1', port: 80 }, 'allow', null],
  [{ address: '10.1.1.1', port: 80 }, 'allow', null],
  [{ name: 'localhost', port: 80 }, 'allow', null],
  [{ name: 'a.localhost' }, 'allow', null],
])('%j', (named, answer, service) => {
  const whole = { name: null, address: null, port: null, protocol: 'tcp', ...named } as const;
  expect(evaluateNamed(compiled, whole)).toMatchObject({ answer, service });
});

test('the rule is that of the lookup where it is denied, as a run tells it', () => {
  const of = (port: number) =>
    evaluateNamed(compiled, { name: 'both.example', address: null, port, protocol: 'tcp' }).rule.id;
  expect([of(443), of(80)]).toEqual(['tls', 'tls']);
});
