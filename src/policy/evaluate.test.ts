import { describe, expect, test } from 'vitest';
import type { Destination } from '../model/destination.ts';
import { type CompileOptions, compile } from './compile.ts';
import { type DestPattern, parseDest } from './dest.ts';
import { type Decision, evaluate, evaluateLookup } from './evaluate.ts';
import { parsePolicy } from './parse.ts';
import { formatProblem, isFault } from './problem.ts';

const SERVICES = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"], owner: "@db" }
  github:
    hosts: [github.com, "*.github.com"]
    addresses: [192.0.2.0/24, "2001:db8:9::/48"]
    ports: [443/tcp]
    depends_on: [mysql]
    owner: "@web"
    instead: use mirror.internal/tools
  migrations: { hosts: [migrations.internal], ports: [8080/tcp], depends_on: [github] }
  mirror: { hosts: [apt.internal, "*.mirror.internal"], ports: [80/tcp, 443/tcp] }
`;

const noon = new Date('2026-11-23T12:00:00Z');

function dest(text: string): DestPattern {
  const read = parseDest(text);
  if (isFault(read)) throw new Error(read.message);
  return read;
}

function compiled(deployment: string, options: Partial<CompileOptions> = {}, floor = '') {
  const text = `${SERVICES}${floor}deployments:\n  mysql:\n${deployment.replace(/^/gm, '    ')}\n`;
  const { policy, problems } = parsePolicy([{ path: 'acyclic.yaml', text }]);
  if (!policy) throw new Error(problems.map(formatProblem).join('\n'));
  const none = { deployment: 'mysql', allow: [], deny: [], default: null, mode: null, ownAddresses: [] };
  return compile(policy, { ...none, now: noon, ...options });
}

function to(text: string, names: string[] = []): Destination {
  const [, address = '', port = '443'] = /^([0-9a-f.:]*?)(?:\/(\d+))?$/.exec(text) ?? [];
  return { address: address || null, port: Number(port), protocol: 'tcp', names };
}

const verdict = ({ verdict, rule }: Decision) => `${verdict} by ${rule.kind}`;

describe('circular', () => {
  const policy = compiled('allow: [{ service: github }]');

  test('denies what depends on the deployed, by name and by address, and tells the path', () => {
    const byName = evaluate(policy, to('203.0.113.5', ['api.github.com']));
    expect(byName).toMatchObject({ verdict: 'deny', service: 'github', cycle: ['mysql', 'github', 'mysql'] });
    expect(byName.rule).toMatchObject({
      kind: 'circular',
      source: 'acyclic.yaml:4',
      service: 'github',
      owner: '@db',
      instead: 'use mirror.internal/tools',
    });
    expect(verdict(evaluate(policy, to('192.0.2.7')))).toBe('deny by circular');
    expect(verdict(evaluate(policy, to('2001:db8:9::1')))).toBe('deny by circular');
  });

  test('denies through another service, with the whole path', () => {
    const { cycle } = evaluate(policy, to('203.0.113.5/8080', ['migrations.internal']));
    expect(cycle).toEqual(['mysql', 'migrations', 'github', 'mysql']);
  });

  test('closes every port, whatever ports the service has; an allow does not open it', () => {
    expect(verdict(evaluate(policy, to('192.0.2.7/22')))).toBe('deny by circular');
    const option = compiled('mode: enforce', { allow: [dest('github.com')] });
    expect(verdict(evaluate(option, to('203.0.113.5', ['github.com'])))).toBe('deny by circular');
  });

  test('leaves the deployed service itself to the ordinary rules', () => {
    const own = to('203.0.113.5', ['db-1.mysql.internal']);
    expect(verdict(evaluate(policy, own))).toBe('deny by default');
    expect(verdict(evaluate(compiled('allow: [{ service: mysql }]'), own))).toBe('allow by allow');
  });

  test('what another service has within its patterns is left to the ordinary rules, the deployed one too', () => {
    const overlap = `services:
  mysql: { hosts: ["*.db.internal"], addresses: [10.2.0.7] }
  infra: { hosts: ["*.internal"], addresses: [10.0.0.0/8], depends_on: [mysql] }
  apt: { hosts: [apt.internal], addresses: [10.1.0.0/16] }
  twin: { hosts: ["*.internal"] }`;
    const text = `version: 1\n${overlap}\ndeployments: { mysql: { allow: [{ service: apt }, { service: mysql }] } }`;
    const { policy } = parsePolicy([{ path: 'acyclic.yaml', text }]);
    const none = { allow: [], deny: [], default: null, mode: null, ownAddresses: [], now: noon };
    const closed = compile(policy, { deployment: 'mysql', ...none });
    const on = (where: string, names?: string[]) => verdict(evaluate(closed, to(where, names)));
    expect(on('203.0.113.5', ['x.internal'])).toBe('deny by circular');
    expect(on('203.0.113.5', ['apt.internal'])).toBe('allow by allow');
    expect(on('203.0.113.5', ['one.db.internal'])).toBe('allow by allow');
    expect(on('10.3.0.1')).toBe('deny by circular');
    expect(on('10.1.2.3')).toBe('allow by allow');
    expect(on('10.2.0.7')).toBe('allow by allow');
    // A name of its own does not open an address that is not.
    expect(on('10.3.0.1', ['apt.internal'])).toBe('deny by circular');
  });

  test('off: the ordinary rules hold', () => {
    const off = compiled('circular: off\nallow: [{ service: github }]');
    expect(verdict(evaluate(off, to('192.0.2.7')))).toBe('allow by allow');
  });

  test('a waiver allows its service on every port until the end of its day in UTC, and cuts no path of others', () => {
    const waived = (now: string) =>
      compiled('waivers: [{ service: github, until: 2026-11-23, owner: "@sre", reason: OPS-123 }]', {
        now: new Date(now),
      });
    const last = waived('2026-11-23T23:59:59.999Z');
    const decision = evaluate(last, to('192.0.2.7/22'));
    expect(verdict(decision)).toBe('allow by waiver');
    expect(decision.rule).toMatchObject({ source: 'acyclic.yaml:15', owner: '@sre', reason: 'OPS-123' });
    expect(verdict(evaluate(last, to('203.0.113.5', ['migrations.internal'])))).toBe('deny by circular');
    expect(verdict(evaluate(waived('2026-11-24T00:00:00Z'), to('192.0.2.7')))).toBe('deny by circular');
  });
});

describe('tiers', () => {
  test('the floor is above --allow and a waiver, --deny above a waiver', () => {
    const waiver = 'waivers: [{ service: github, until: 2030-01-01 }]';
    const floor = 'floor: { deny: [{ service: github }] }\n';
    const options = { allow: [dest('github.com')] };
    expect(verdict(evaluate(compiled(waiver, options, floor), to('192.0.2.7')))).toBe('deny by floor');
    const denied = evaluate(compiled(waiver, { deny: [dest('192.0.2.7')] }), to('192.0.2.7'));
    expect(verdict(denied)).toBe('deny by option');
    expect(denied.rule.source).toBe('--deny 192.0.2.7');
  });

  test('--allow is among the rules of the deployment: a deny of equal standing beats it', () => {
    const policy = compiled('deny: [{ host: x.example }]', { allow: [dest('x.example'), dest('y.example')] });
    expect(verdict(evaluate(policy, to('203.0.113.5', ['x.example'])))).toBe('deny by deny');
    expect(verdict(evaluate(policy, to('203.0.113.5', ['y.example'])))).toBe('allow by option');
  });

  test('a rule with ports that do not hold the port is no answer of its tier', () => {
    const policy = compiled('allow: [{ host: x.example }]', { deny: [dest('x.example:80')] });
    expect(verdict(evaluate(policy, to('203.0.113.5/80', ['x.example'])))).toBe('deny by option');
    expect(verdict(evaluate(policy, to('203.0.113.5/443', ['x.example'])))).toBe('allow by allow');
  });
});

describe('within a tier', () => {
  const rules = `allow:
  - { host: "*.corp.example" }
  - { address: 10.0.0.0/8 }
  - { host: both.example, address: 10.9.0.0/16 }
  - { host: ports.example, ports: [8443] }
  - { host: tie.example }
audit:
  - { host: marked.example }
  - { host: tie-audit.example }
deny:
  - { host: bad.corp.example }
  - { host: "*.lab.corp.example" }
  - { address: 10.9.0.0/16 }
  - { host: ports.example }
  - { host: tie.example }
  - { host: both.example }
`;
  const policy = compiled(rules);
  test.each([
    ['an exact name beats a wildcard', '203.0.113.5', ['bad.corp.example'], 'deny by deny'],
    ['a longer wildcard beats a shorter', '203.0.113.5', ['x.lab.corp.example'], 'deny by deny'],
    ['the shorter holds where the longer does not', '203.0.113.5', ['x.corp.example'], 'allow by allow'],
    ['a longer prefix beats a shorter', '10.9.1.1', [], 'deny by deny'],
    ['ports that hold the port beat none', '203.0.113.5/8443', ['ports.example'], 'allow by allow'],
    ['no ports hold where the others do not', '203.0.113.5/443', ['ports.example'], 'deny by deny'],
    ['deny beats allow on a tie', '203.0.113.5', ['tie.example'], 'deny by deny'],
    ['a denied address closes an allowed name', '10.9.1.1', ['x.corp.example'], 'deny by deny'],
    [
      'a denied alias closes an allowed name',
      '203.0.113.5',
      ['a.corp.example', 'tie.example'],
      'deny by deny',
    ],
    ['one allow is enough', '10.1.1.1', ['unknown.example'], 'allow by allow'],
    ['an allow outweighs an audit', '10.1.1.1', ['marked.example'], 'allow by allow'],
    ['audit lets through, marked, in enforce', '203.0.113.5', ['marked.example'], 'would-deny by audit'],
    ['host and address together stand above both', '10.9.1.1', ['both.example'], 'allow by allow'],
    ['and hold nowhere else', '10.1.1.1', ['both.example'], 'deny by deny'],
    ['a name that resolves into nothing known', '203.0.113.5', ['unknown.example'], 'deny by default'],
  ])('%s', (_, address, names, expected) => {
    expect(verdict(evaluate(policy, to(address, names)))).toBe(expected);
  });

  test('allow by service opens its ports only, and a rule may narrow them further; deny closes all', () => {
    const mirror = compiled('allow: [{ service: mirror }]');
    expect(verdict(evaluate(mirror, to('203.0.113.5/80', ['apt.internal'])))).toBe('allow by allow');
    expect(verdict(evaluate(mirror, to('203.0.113.5/22', ['apt.internal'])))).toBe('deny by default');
    const narrow = compiled('allow: [{ service: mirror, ports: [443] }]');
    expect(verdict(evaluate(narrow, to('203.0.113.5/80', ['apt.internal'])))).toBe('deny by default');
    const closed = compiled('default: allow\ndeny: [{ service: mirror }]');
    expect(verdict(evaluate(closed, to('203.0.113.5/22', ['apt.internal'])))).toBe('deny by deny');
  });

  test('what has no ports is held by no rule with ports', () => {
    const ping = { address: '10.1.1.1', port: 0, protocol: 'other' as const, names: [] };
    expect(verdict(evaluate(compiled('allow: [{ address: 10.0.0.0/8, ports: [0-65535] }]'), ping))).toBe(
      'deny by default',
    );
    expect(verdict(evaluate(compiled('allow: [{ address: 10.0.0.0/8 }]'), ping))).toBe('allow by allow');
  });
});

describe('loopback and own addresses', () => {
  test.each(['127.0.0.1', '127.86.0.1', '::1', '0.0.0.0', '::'])('%s is allowed by default', (address) => {
    const decision = evaluate(compiled('mode: enforce'), to(address));
    expect(verdict(decision)).toBe('allow by default');
    expect(decision.rule.reason).toBe('loopback');
  });

  test("so are this host's own addresses, and no others", () => {
    const policy = compiled('mode: enforce', { ownAddresses: ['10.0.0.5', '2001:db8::5'] });
    expect(evaluate(policy, to('2001:db8::5')).rule.reason).toBe("this host's own address");
    expect(verdict(evaluate(policy, to('10.0.0.6')))).toBe('deny by default');
  });

  test('a rule denies them; the unspecified addresses count as loopback on both sides', () => {
    const rule = (address: string) =>
      compiled(`deny: [{ address: "${address}" }]`, { ownAddresses: ['10.0.0.5'] });
    expect(verdict(evaluate(rule('127.0.0.1'), to('0.0.0.0')))).toBe('deny by deny');
    expect(verdict(evaluate(rule('0.0.0.0'), to('127.0.0.1')))).toBe('deny by deny');
    expect(verdict(evaluate(rule('::1'), to('::')))).toBe('deny by deny');
    expect(verdict(evaluate(rule('10.0.0.0/8'), to('10.0.0.5')))).toBe('deny by deny');
    expect(verdict(evaluate(compiled('mode: enforce'), to('127.0.0.1', ['github.com'])))).toBe(
      'deny by circular',
    );
  });
});

describe('lookups', () => {
  const rules = `allow:
  - { host: a.example, ports: [8443] }
  - { host: pinned.example, address: 10.0.0.0/8 }
  - { address: 10.0.0.0/8 }
deny: [{ host: half.example, ports: [443] }, { host: shut.example }]
`;
  test.each([
    ['a name allowed at one port only', 'deny', ['a.example'], 'allow'],
    ['a name no rule allows', 'deny', ['unknown.example'], 'deny'],
    ['a name allowed at some address', 'deny', ['pinned.example'], 'allow'],
    ['a name denied at one port only', 'allow', ['half.example'], 'allow'],
    ['a denied name', 'allow', ['shut.example'], 'deny'],
    ['an alias to a denied name', 'allow', ['a.example', 'shut.example'], 'deny'],
    ['a circular name', 'allow', ['github.com'], 'deny'],
    ['an alias to a circular name', 'allow', ['a.example', 'github.com'], 'deny'],
  ])('%s under default %s', (_, fallback, names, expected) => {
    expect(evaluateLookup(compiled(`default: ${fallback}\n${rules}`), names).verdict).toBe(expected);
  });
});

describe('modes and options', () => {
  test('audit computes the same answer and denies nothing', () => {
    const decision = evaluate(compiled('mode: audit'), to('192.0.2.7'));
    expect(decision).toMatchObject({ verdict: 'would-deny', answer: 'deny', rule: { kind: 'circular' } });
    expect(evaluateLookup(compiled('mode: audit'), ['github.com']).verdict).toBe('would-deny');
  });

  test('absent keys mean enforce, default deny, circular deny, EPERM and nxdomain; options override', () => {
    const policy = compiled('deploys: [mysql]');
    expect(policy).toMatchObject({
      mode: 'enforce',
      onDeny: 'EPERM',
      dns: { servers: null, onDeny: 'nxdomain' },
    });
    expect(verdict(evaluate(policy, to('203.0.113.5')))).toBe('deny by default');
    const options = compiled('mode: enforce', { mode: 'audit', default: 'allow' });
    expect(options.mode).toBe('audit');
    expect(evaluate(options, to('203.0.113.5')).rule.source).toBe('--default allow');
  });

  test('with no policy everything is allowed, and known services are still named', () => {
    const none = {
      deployment: null,
      allow: [],
      deny: [],
      default: null,
      mode: null,
      now: noon,
      ownAddresses: [],
    };
    const policy = compile(null, none);
    expect(policy.mode).toBe('audit');
    expect(evaluate(policy, to('8.8.8.8'))).toMatchObject({ verdict: 'allow', service: 'public-dns' });
  });

  test('an unknown deployment or service of an option is refused with what was meant', () => {
    expect(() => compiled('mode: audit', { deployment: 'mysq' })).toThrow(
      expect.objectContaining({ remedy: "did you mean 'mysql'?" }),
    );
    expect(() => compiled('mode: audit', { allow: [dest('service:miror')] })).toThrow(
      expect.objectContaining({ remedy: "did you mean 'service:mirror'?" }),
    );
  });

  test('the only deployment needs no name', () => {
    expect(compiled('mode: audit', { deployment: null }).deployment).toBe('mysql');
  });
});
