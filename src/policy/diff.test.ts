import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { destination, written } from '../../test/kernel/harness-cases.ts';
import { compile } from './compile.ts';
import { diffPolicies, isSame, type PolicyDiff } from './diff.ts';
import { evaluate } from './evaluate.ts';
import { parsePolicy } from './parse.ts';
import { formatPieces } from './pieces.ts';
import type { Policy } from './policy.ts';
import { formatProblem } from './problem.ts';

const NOW = new Date('2026-11-23T12:00:00Z');

function parsed(text: string): Policy {
  const { policy, problems } = parsePolicy([{ path: 'p.yaml', text }]);
  if (!policy) throw new Error(problems.map(formatProblem).join('\n'));
  return policy;
}

function diff(before: string, after: string): PolicyDiff {
  return diffPolicies(parsed(before), parsed(after), NOW);
}

const options = { allow: [], deny: [], default: null, mode: null, now: NOW, ownAddresses: [] };

interface Written {
  readonly deployments: { d: { allow: object[]; audit: object[]; deny: object[] } };
}

test('two policies between which there is no difference decide every destination alike', () => {
  const tampered = fc.tuple(
    written as unknown as fc.Arbitrary<Written>,
    fc.constantFrom('allow' as const, 'audit' as const, 'deny' as const),
    fc.nat(),
    fc.constantFrom('drop', 'double', 'reverse'),
  );
  let [same, different] = [0, 0];
  fc.assert(
    fc.property(tampered, fc.array(destination, { minLength: 20 }), ([before, list, at, how], calls) => {
      const after = structuredClone(before);
      const rules = after.deployments.d[list];
      if (how === 'drop') rules.splice(at % (rules.length || 1), 1);
      else if (how === 'double') rules.push(...rules.slice(0, 1));
      else rules.reverse();
      const [one, other] = [parsed(JSON.stringify(before)), parsed(JSON.stringify(after))];
      if (how === 'double') expect(isSame(diffPolicies(one, other, NOW))).toBe(true);
      if (how === 'reverse') {
        // Of rules alike in all that ranks them the first is named; what is decided is the same.
        const { deployments, floor } = diffPolicies(one, other, NOW);
        const effects = [...deployments.flatMap(({ calls: changed }) => changed), ...floor];
        expect(effects.filter(({ effect }) => effect !== 'rule')).toEqual([]);
      }
      const [was, is] = [one, other].map((policy) => compile(policy, { ...options, deployment: 'd' }));
      if (!was || !is) return;
      const differs = calls.some((call) => evaluate(was, call).answer !== evaluate(is, call).answer);
      const found = !isSame(diffPolicies(one, other, NOW));
      if (differs) expect(found).toBe(true);
      if (found) different++;
      else same++;
    }),
    { numRuns: 120 },
  );
  expect(Math.min(same, different)).toBeGreaterThan(10);
});

const BASE = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"], owner: "@db" }
  github: { hosts: [github.com, "*.github.com"], depends_on: [mysql] }
  mirror: { hosts: [apt.internal, "*.mirror.internal"], owner: "@infra" }
deployments:
  mysql:
    allow:
      - { service: mirror, ports: [80, 443] }
      - { host: vault.internal, ports: [8200/tcp] }
`;

/** `effect about at ports: before → after` of the deployment's calls. */
function told(found: PolicyDiff): string[] {
  return found.deployments.flatMap(({ calls }) =>
    calls.map(({ about, ports, judged, effect }) => {
      const [before, after] = judged();
      return `${effect} ${about} at ${formatPieces(ports)}: ${before.rule.kind} → ${after.rule.kind}`;
    }),
  );
}

describe('no difference', () => {
  test.each([
    ['order and comments', BASE.replace(/( +- \{ service.*\n)( +- .*\n)/, '$2      # later\n$1')],
    ['case and trailing dots', BASE.replace('vault.internal', 'Vault.Internal.')],
    ['ports as a range or by protocol', BASE.replace('[80, 443]', '[80/tcp, 80/udp, "443-443"]')],
    [
      'a host that another one of the service holds',
      BASE.replace('apt.internal,', 'apt.internal, x.mirror.internal,'),
    ],
    ['defaults written out', BASE.replace('    allow:', '    mode: enforce\n    default: deny\n    allow:')],
  ])('%s', (_, text) => {
    expect(diff(BASE, text)).toEqual({ floor: [], settings: [], services: [], deployments: [] });
  });

  test('two halves and their whole', () => {
    const rule = (...addresses: string[]) =>
      `${BASE}${addresses.map((address) => `      - { address: ${address} }\n`).join('')}`;
    expect(isSame(diff(rule('10.0.0.0/9', '10.128.0.0/9'), rule('10.0.0.0/8')))).toBe(true);
    expect(told(diff(rule('10.0.0.0/9', '10.128.0.0/10'), rule('10.0.0.0/8')))).toEqual([
      'allow 10.0.0.0/8 at every port: default → allow',
    ]);
  });
});

describe('differences, in meaning', () => {
  test('a destination allowed, and one no longer', () => {
    expect(told(diff(BASE, BASE.replace('vault.internal', 'vault2.internal')))).toEqual([
      'deny vault.internal at 8200/tcp: allow → default',
      'allow vault2.internal at 8200/tcp: default → allow',
    ]);
  });

  test('a rule of its own for a destination that is allowed already: it is of no service', () => {
    expect(told(diff(BASE, `${BASE}      - { host: npm.mirror.internal, ports: [80] }\n`))).toEqual([
      'rule npm.mirror.internal at 80: allow → allow',
    ]);
  });

  test('a dependency closes a service, and is a change of the service too', () => {
    const after = BASE.replace('"*.mirror.internal"]', '"*.mirror.internal"], depends_on: [github]');
    const found = diff(BASE, after);
    expect(told(found)).toEqual([
      'rule apt.internal at every port but 80, 443: default → circular',
      'deny apt.internal at 80, 443: allow → circular',
      'rule *.mirror.internal at every port but 80, 443: default → circular',
      'deny *.mirror.internal at 80, 443: allow → circular',
    ]);
    expect(found.services).toEqual([
      {
        name: 'mirror',
        state: 'changed',
        settings: [{ setting: 'depends_on', before: null, after: 'github' }],
        calls: [],
      },
    ]);
  });

  test('an owner, a waiver, a default, a mode, a resolver', () => {
    const settings = (text: string) => diff(BASE, text).deployments[0]?.settings;
    expect(told(diff(BASE, BASE.replace('"@infra"', '"@sre"')))).toEqual([
      'rule apt.internal at 80, 443: allow → allow',
      'rule *.mirror.internal at 80, 443: allow → allow',
    ]);
    expect(settings(BASE.replace('    allow:', '    default: allow\n    allow:'))).toEqual([
      { setting: 'default', before: 'deny', after: 'allow' },
    ]);
    expect(
      settings(BASE.replace('    allow:', '    mode: audit\n    dns: { servers: [10.0.0.2] }\n    allow:')),
    ).toEqual([
      { setting: 'mode', before: 'enforce', after: 'audit' },
      { setting: 'dns.servers', before: null, after: '10.0.0.2' },
    ]);
    const waived = diff(
      BASE,
      `${BASE}    waivers: [{ service: github, until: 2027-01-01, reason: OPS-1 }]\n`,
    );
    expect(waived.deployments[0]?.settings).toEqual([
      { setting: 'waiver of github', before: null, after: 'until 2027-01-01, OPS-1' },
    ]);
    expect(told(waived)).toEqual([
      'allow github.com at every port: circular → waiver',
      'allow *.github.com at every port: circular → waiver',
    ]);
  });

  test('the floor, whatever the deployment', () => {
    const found = diff(BASE, `${BASE}floor: { deny: [{ host: evil.example }] }\n`);
    expect(found.floor.map(({ about, effect }) => [about, effect])).toEqual([['evil.example', 'deny']]);
    expect(told(found)).toEqual(['rule evil.example at every port: default → floor']);
  });

  test('a rule of host and address together', () => {
    const found = diff(BASE, `${BASE}      - { host: r.internal, address: 10.3.0.5 }\n`);
    expect(told(found)).toEqual(['allow r.internal at 10.3.0.5 at every port: default → allow']);
  });

  test('a wildcard at an address, for the closer names and addresses in it too', () => {
    const closer = `${BASE}      - { address: 10.3.0.5 }\n    deny: [{ host: a.r.internal }]\n`;
    const found = diff(
      closer,
      closer.replace('    deny:', '      - { host: "*.r.internal", address: 10.3.0.0/16 }\n    deny:'),
    );
    const abouts = found.deployments.flatMap(({ calls }) =>
      calls.map(({ about, effect }) => `${effect} ${about}`),
    );
    expect(abouts).toContain('allow *.r.internal at 10.3.0.0/16');
    expect(abouts).toContain('allow a.r.internal at 10.3.0.5');
  });

  test('deployments and services that are new or gone', () => {
    const found = diff(BASE, `${BASE}  web: {}\n`.replace('  github: {', '  gitlab: {'));
    expect(found.deployments.map(({ name, state }) => [name, state])).toContainEqual(['web', 'added']);
    expect(found.services.map(({ name, state }) => [name, state])).toEqual([
      ['github', 'removed'],
      ['gitlab', 'added'],
    ]);
  });
});

test('a limit that changed is told in the policy language', () => {
  const policy = (limits: string) =>
    `version: 1\nservices: { d: { hosts: [d.c] } }\ndeployments: { d: { limits: ${limits} } }`;
  const { deployments } = diff(policy('{ cpu: 50%, memory: 2048MiB }'), policy('{ memory: 2GiB, tasks: 9 }'));
  expect(deployments[0]?.settings).toEqual([
    { setting: 'limits.cpu', before: '50%', after: null },
    { setting: 'limits.tasks', before: null, after: '9' },
  ]);
});

test('who may do what, what is matched and who is handed work are told in the policy language', () => {
  const policy = (roles: string, rest: string) =>
    `version: 1\nservices: { d: { hosts: [d.c] } }\nroles: ${roles}\ndeployments: { d: { ${rest} } }`;
  const found = diff(
    policy(
      '{ run: [b, a], apply: [] }',
      'match: { units: [b.service, a.service] }, delegate: { docker: deny }',
    ),
    policy(
      '{ run: [a, b, "user:c"] }',
      'match: { units: [a.service], required: false }, roles: { run: [x] }, observe_units: true',
    ),
  );
  expect(found.settings).toEqual([
    { setting: 'roles.run', before: 'a, b', after: 'a, b, user:c' },
    { setting: 'roles.apply', before: '[]', after: null },
  ]);
  expect(found.deployments[0]?.settings).toEqual([
    { setting: 'match.units', before: 'a.service, b.service', after: 'a.service' },
    { setting: 'match.required', before: 'true', after: 'false' },
    { setting: 'roles.run', before: null, after: 'x' },
    { setting: 'delegate.docker', before: 'deny', after: null },
    { setting: 'observe_units', before: null, after: 'true' },
  ]);
  const same = diff(
    policy('{ run: [a, b] }', 'delegate: { docker: deny, cron: allow }'),
    policy('{ run: [b, a] }', 'delegate: { cron: allow, docker: deny }'),
  );
  expect([same.settings, same.deployments]).toEqual([[], []]);
});
