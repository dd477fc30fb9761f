import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { written } from '../../test/kernel/harness-cases.ts';
import { recorded, recordedRun } from '../../test/recorded.ts';
import type { AuditEvent } from '../model/event.ts';
import type { RuleKind, Verdict } from '../model/verdict.ts';
import { amend, type PolicyText } from './amend.ts';
import { type CompiledPolicy, compile } from './compile.ts';
import { diffPolicies } from './diff.ts';
import { evaluate } from './evaluate.ts';
import { parsePolicy } from './parse.ts';
import type { Policy } from './policy.ts';
import { formatProblem } from './problem.ts';
import { judgeQuestion, questionOf } from './question.ts';
import { Suggester } from './suggest.ts';
import { policyText, ruleLines } from './suggest-text.ts';
import type { Suggestion } from './suggestion.ts';

const NOW = new Date('2026-11-23T12:00:00Z');

const delegateAt = (path: string) => (path === '/run/docker.sock' ? ('docker' as const) : null);

function compiled(policy: Policy | null, defaultTo: 'deny' | null): CompiledPolicy {
  return compile(policy, {
    deployment: policy ? 'd' : null,
    ...{ allow: [], deny: [], default: defaultTo, mode: 'enforce', now: NOW, ownAddresses: [] },
  });
}

function parsed(texts: readonly PolicyText[]): Policy {
  const { policy, problems } = parsePolicy(texts.map(({ name, text }) => ({ path: name, text })));
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (!policy) throw new Error(`${errors.map(formatProblem).join('\n')}\n${texts[0]?.text}`);
  return policy;
}

const target = ({ kind, destination }: AuditEvent) =>
  `${destination?.names[0] ?? destination?.address}${kind === 'dns' ? ' (dns)' : `:${destination?.port}/${destination?.protocol}`}`;

function suggested(events: readonly AuditEvent[], before: Policy | null = null): Suggestion {
  const suggester = new Suggester({
    policy: compiled(before, 'deny'),
    services: before?.services ?? new Map(),
    caller: ({ process }) => process?.comm ?? '?',
    target,
    delegateAt,
  });
  for (const event of events) suggester.add(event);
  return suggester.result();
}

/** Events whose like was let through, by their latest record, and so is to be allowed. */
function wanted(events: readonly AuditEvent[]): AuditEvent[] {
  const isRefused = ({ verdict, rule }: AuditEvent) =>
    verdict === 'deny' || (verdict === 'would-deny' && rule?.kind === 'circular');
  const identities = ({ destination }: AuditEvent) => [
    ...(destination?.names ?? []),
    destination?.address ?? '',
  ];
  const at = ({ kind, destination }: AuditEvent) =>
    kind === 'dns' ? 'dns' : `${destination?.port}/${destination?.protocol}`;
  return events.filter(
    (event) =>
      !isRefused(event) &&
      // One of several names may stand for a call, so what shares any with a refused one is left aside.
      !events.some(
        (other) =>
          isRefused(other) &&
          (at(other) === at(event) || other.kind === 'dns') &&
          identities(other).some((identity) => identities(event).includes(identity)),
      ),
  );
}

describe('put in force, a suggested policy', () => {
  test('allows every call that was seen, and no fresh name, other address or other port', () => {
    let wide = 0;
    fc.assert(
      fc.property(recordedRun, (events) => {
        const { policy, problems } = parsePolicy([{ path: 'p', text: policyText('d', suggested(events)) }]);
        expect(problems.map(formatProblem)).toEqual([]);
        const suggestion = compiled(policy, null);
        for (const event of wanted(events)) {
          const question = questionOf(event);
          if (question)
            expect([target(event), judgeQuestion(suggestion, question).answer]).toEqual([
              target(event),
              'allow',
            ]);
        }
        const zones = policy?.deployments.get('d')?.rules.filter(({ host }) => host?.kind === 'below') ?? [];
        wide += zones.length;
        for (const [names, port, protocol] of unseen(events))
          expect([
            names,
            port,
            evaluate(suggestion, { address: '198.18.0.1', names, port, protocol }).answer,
          ]).toEqual([names, port, 'deny']);
        for (const address of ['198.18.0.1', '2001:db8::2', '10.0.0.8'])
          for (const port of [22, 443])
            expect(evaluate(suggestion, { address, names: [], port, protocol: 'tcp' }).answer).toBe('deny');
      }),
      { numRuns: 400 },
    );
    expect(wide).toBe(0);
  });

  test('added to a policy there is, allows what was seen and closes nothing', () => {
    const texts = fc.constantFrom<(data: object) => string>(
      (data) => JSON.stringify(data),
      (data) => JSON.stringify(data, null, 2),
      blockYaml,
    );
    fc.assert(
      fc.property(written, texts, recordedRun, (data, write, events) => {
        const before: PolicyText = { name: 'p.yaml', text: write(data) };
        const old = parsed([before]);
        const { rules } = suggested(events, old);
        const after = amend([before], 'd', ruleLines(rules));
        const policy = parsed([after]);
        const now = compiled(policy, 'deny');
        const was = compiled(old, 'deny');
        for (const event of wanted(events)) {
          const question = questionOf(event);
          if (!question || judgeQuestion(was, question).rule.kind !== 'default') continue;
          expect([target(event), judgeQuestion(now, question).answer]).toEqual([target(event), 'allow']);
        }
        const closed = diffPolicies(old, policy, NOW).deployments.flatMap(({ calls }) =>
          calls.filter(({ effect }) => effect === 'deny'),
        );
        expect(closed).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

const lookup = (name: string, given = {}) => recorded({ kind: 'dns', names: [name], ...given });

/** The rules, as the lines of a list. */
function lines(events: readonly AuditEvent[], before: Policy | null = null): string[] {
  return ruleLines(suggested(events, before).rules).map(({ rule, comment }) => rule ?? `# ${comment}`);
}

describe('what is suggested', () => {
  test('reads as one would write it: by program, most called first, with counts', () => {
    const text = policyText(
      'mysql',
      suggested([
        ...[lookup('apt.internal'), recorded({ names: ['apt.internal'], port: 80, count: 3 })],
        recorded({ names: ['apt.internal'], port: 443 }),
        ...[
          lookup('git.internal', { pid: 7 }),
          recorded({ names: ['git.internal'], pid: 7, comm: 'git', port: 22 }),
        ],
        recorded({ address: '2001:db8::7', port: 8200 }),
        lookup('only.example', { comm: 'getent' }),
        recorded({
          names: ['github.com'],
          verdict: 'would-deny',
          rule: 'circular',
          cycle: ['mysql', 'github', 'mysql'],
        }),
      ]),
    );
    expect(text).toBe(`# Suggested by \`acyclic policy suggest\` from 10 calls of 1 run, 2026-11-23.
# It allows what was seen, whether or not it was meant: read it before it is put in force.
version: 1

services:
  # What is deployed: give it its hosts, and make what depends on it services of their own.
  mysql: {}

deployments:
  mysql:
    mode: enforce
    default: deny
    allow:
      # curl
      - { host: apt.internal, ports: [80/tcp, 443/tcp] } # 4 calls
      - { address: "2001:db8::7", ports: [8200/tcp] } # 1 call
      # git
      - { host: git.internal, ports: [22/tcp] } # 1 call
      # looked up and never called (port 53 goes to Acyclic's DNS proxy): getent
      - { host: only.example, ports: [53/udp] } # 1 lookup
# Left out:
#   github.com:443/tcp (1 call) would have been denied: circular (acyclic.yaml:4): mysql -> github -> mysql
`);
    expect(parsePolicy([{ path: 'p', text }]).problems).toEqual([]);
  });

  test('names what the caller asked for, not its aliases, nor what others asked for at the same address', () => {
    const names = ['a.example', 'alias.cdn.example', 'b.example'];
    expect(
      lines([
        ...[lookup('a.example', { pid: 1 }), lookup('b.example', { pid: 2 })],
        recorded({ names, pid: 1, port: 80 }),
        recorded({ names, pid: 2, port: 81 }),
      ]),
    ).toEqual(['# curl', '{ host: a.example, ports: [80/tcp] }', '{ host: b.example, ports: [81/tcp] }']);
  });

  test('leaves alone loopback, the port of lookups, and what no policy can speak of', () => {
    const odd = suggested([lookup('.'), lookup('a\\046b.example')]);
    expect(odd.rules).toEqual([]);
    expect(odd.leftOut.map(({ why }) => why)).toEqual([
      'a policy cannot speak of such a name',
      'a policy cannot speak of such a name',
    ]);
    expect(
      lines([
        recorded({ address: '127.0.0.1' }),
        recorded({ address: '::1' }),
        recorded({ address: '10.0.0.2', port: 53, protocol: 'udp' }),
        recorded({ kind: 'escape', verdict: null as never }),
      ]),
    ).toEqual([]);
  });

  test('is what the latest record says: denied once and allowed since, or the other way round', () => {
    const denied = recorded({ names: ['a.example'], verdict: 'deny' });
    const allowed = recorded({ names: ['a.example'] });
    expect(lines([denied, allowed])).toEqual(['# curl', '{ host: a.example, ports: [443/tcp] }']);
    expect(lines([allowed, denied])).toEqual([]);
    const later = { ...denied, time: '2026-11-24T00:00:00.000000000Z' };
    expect(lines([later, allowed])).toEqual([]);
  });

  test('takes UDP that only connected for a look at the route, where TCP went', () => {
    const probe = recorded({ names: ['a.example'], protocol: 'udp', port: 80 });
    const call = recorded({ names: ['a.example'], port: 80 });
    const sent = recorded({ kind: 'send', names: ['a.example'], protocol: 'udp', port: 80 });
    expect(lines([probe, probe, call])[1]).toBe('{ host: a.example, ports: [80/tcp] }');
    expect(lines([probe, call, sent])[1]).toBe('{ host: a.example, ports: [80] }');
    expect(lines([probe])[1]).toBe('{ host: a.example, ports: [80/udp] }');
    expect(lines([recorded({ names: ['a.example'], protocol: 'udp', port: 0 })])).toEqual([]);
  });

  test('opens every port of what was pinged, and says so', () => {
    expect(lines([recorded({ address: '10.0.0.9', port: null, protocol: 'icmp', comm: 'ping' })])).toEqual([
      '# sent what has no ports, as ping does, which only a rule that opens every port allows: ping',
      '{ address: 10.0.0.9 }',
    ]);
  });

  test('is no place for the names of programs to write policy in', () => {
    const comm = 'x\n    allow: [{ host: "*" }] #\u2028\ufffd\ud800';
    const text = policyText('d', suggested([recorded({ comm, names: ['a.example'] })]));
    const { policy, problems } = parsePolicy([{ path: 'p', text }]);
    expect(problems.map(formatProblem)).toEqual([]);
    expect(policy?.deployments.get('d')?.rules.map(({ host }) => host?.text)).toEqual(['a.example']);
    expect(text).not.toMatch(/[^\n\x20-\x7e]/);
  });
});

describe('services there are', () => {
  const before = parsed([
    {
      name: 'p.yaml',
      text: `{version: 1, services: {d: {}, s: {hosts: ["*.s.example"], ports: [80/tcp, 443/tcp]}, gone: {hosts: ["*.g.example"], depends_on: [d]}}, deployments: {d: {deny: [{host: bad.s.example}]}}}`,
    },
  ]);
  test('hold their hosts, with the ports seen', () => {
    expect(
      lines([recorded({ names: ['a.s.example'] }), recorded({ names: ['b.s.example'] })], before),
    ).toEqual(['# curl', '{ service: s, ports: [443/tcp] }']);
  });
  test('go without ports where the ones seen are theirs, and do not hold others', () => {
    const seen = [80, 443, 22].map((port) => recorded({ names: [`h${port}.s.example`], port }));
    expect(lines(seen, before)).toEqual([
      '# curl',
      '{ service: s }',
      '{ host: h22.s.example, ports: [22/tcp] }',
    ]);
  });
  test('are not opened where one of their hosts was refused at that port, nor for a lookup', () => {
    const refused = recorded({ names: ['c.s.example'], verdict: 'deny' });
    expect(lines([recorded({ names: ['a.s.example'] }), refused], before)).toEqual([
      '# curl',
      '{ host: a.s.example, ports: [443/tcp] }',
    ]);
    expect(lines([lookup('a.s.example')], before)[1]).toBe('{ host: a.s.example, ports: [53/udp] }');
  });
  test('and rules there are speak for what was denied before they were written', () => {
    const open = parsed([
      { name: 'p', text: '{version: 1, deployments: {d: {allow: [{host: a.example}]}}}' },
    ]);
    const denied = recorded({ names: ['a.example'], verdict: 'deny', rule: 'deny' });
    expect(suggested([denied], open).leftOut).toHaveLength(1);
    expect(suggested([denied, recorded({ names: ['a.example'] })], open)).toMatchObject({
      rules: [],
      leftOut: [],
    });
  });
  test('that the deployment may not call are left out, with the rule or the cycle', () => {
    const { rules, leftOut } = suggested(
      [recorded({ names: ['x.g.example'] }), recorded({ names: ['bad.s.example'] })],
      before,
    );
    expect(rules).toEqual([]);
    expect(leftOut.map(({ why, cycle }) => [why, cycle])).toEqual([
      ['the policy denies it: circular (p.yaml:1)', ['d', 'gone', 'd']],
      ['the policy denies it: deny (p.yaml:1)', null],
    ]);
  });
});

describe('names become a wildcard', () => {
  const hosts = (names: readonly string[], extra: readonly AuditEvent[] = []) =>
    suggested([...names.map((name) => recorded({ names: [name] })), ...extra])
      .rules.map(({ text }) => text)
      .sort();
  const numbered = (zone: string) => [1, 2, 30].map((n) => `db-${n}.${zone}`);

  test.each([['pool.internal'], ['mysql.corp'], ['cdn.example.com'], ['eu.cdn.example.co.uk']])(
    'three numbered ones below %s',
    (zone) => {
      expect(hosts(numbered(zone))).toEqual([`*.${zone}`]);
    },
  );
  test.each([
    ['internal', 'a top level'],
    ['com', 'a public suffix'],
    ['co.uk', 'a public suffix'],
    ['example.com', 'a domain: shallow'],
    ['example.co.uk', 'a domain or a public suffix: not known here'],
    ['s3.amazonaws.com', "others' names"],
    ['eu-west-1.elb.amazonaws.com', "others' names"],
    ['github.io', "others' names"],
    ['blob.core.windows.net', "others' names"],
  ])('not below %s: %s', (zone) => {
    expect(hosts(numbered(zone))).toEqual([...numbered(zone)].sort());
  });
  test('a generated id counts as a number; words do not, unless there are many in a private zone', () => {
    const ids = ['i-0abc123def', 'i-0123456789', 'i-00ff00ff00'].map((id) => `${id}.compute.internal`);
    expect(hosts(ids)).toEqual(['*.compute.internal']);
    const words = ['apt', 'npm', 'pypi', 'git', 'go', 'gem', 'deb', 'rpm'];
    expect(hosts(words.slice(1).map((word) => `${word}.mirror.internal`))).toHaveLength(7);
    expect(hosts(words.map((word) => `${word}.mirror.internal`))).toEqual(['*.mirror.internal']);
    expect(hosts(words.map((word) => `${word}.cdn.example.com`))).toHaveLength(8);
  });
  test('two are not many, and a refused or otherwise used name in the zone forbids it', () => {
    const zone = 'pool.internal';
    expect(hosts(numbered(zone).slice(1))).toHaveLength(2);
    expect(hosts(numbered(zone), [recorded({ names: [`x.${zone}`], verdict: 'deny' })])).toHaveLength(3);
    expect(hosts(numbered(zone), [recorded({ names: [`x.${zone}`], port: 22 })])).toHaveLength(4);
    expect(hosts(numbered(zone), [lookup(`x.y.${zone}`)])).toHaveLength(4);
  });
});

test('work handed on needs no rule; what was denied of it, or is by the policy there is, is left out and listed', () => {
  const work = (verdict: Verdict, rule: RuleKind): AuditEvent =>
    recorded({ kind: 'exec-outside', address: null, port: null, names: ['/run/docker.sock'], verdict, rule });
  const leftOut = ({ leftOut: left }: Suggestion) => left.map(({ why, count }) => `${why} ×${count}`);
  const through = suggested([work('would-deny', 'default')]);
  expect(through).toMatchObject({ calls: 1, runs: 1, rules: [], leftOut: [] });
  const denied = suggested([work('deny', 'deny'), work('deny', 'deny')]);
  expect(leftOut(denied)).toEqual(['was denied: deny (acyclic.yaml:4); see `delegate` ×2']);
  const saying = (answer: string) =>
    parsed([
      {
        name: 'p',
        text: `version: 1\nservices: { d: {} }\ndeployments: { d: { delegate: { docker: ${answer} } } }\n`,
      },
    ]);
  expect(leftOut(suggested([work('would-deny', 'default')], saying('deny')))).toEqual([
    'the policy denies it: deny (p:3) ×1',
  ]);
  expect(suggested([work('deny', 'deny')], saying('allow')).leftOut).toEqual([]);
});

/** Names with ports they were never seen with, and a name nobody saw. */
function unseen(events: readonly AuditEvent[]): [string[], number, 'tcp' | 'udp'][] {
  const names = new Set(events.flatMap(({ destination }) => destination?.names ?? []));
  // Only a rule without ports allows a ping.
  for (const { destination } of events)
    if (destination?.port === null) for (const name of destination.names) names.delete(name);
  const seen = (name: string, port: number, protocol: string) =>
    events.some(
      ({ kind, destination }) =>
        kind !== 'dns' &&
        destination?.names.includes(name) &&
        destination.port === port &&
        destination.protocol === protocol,
    );
  const all = [...names, 'fresh.example', 'x.a.b.c', 'db-3.pool.internal'];
  return all.flatMap((name) =>
    ([21, 22, 80, 443, 444, 8080] as const).flatMap((port) =>
      (['tcp', 'udp'] as const).flatMap((protocol): [string[], number, 'tcp' | 'udp'][] =>
        seen(name, port, protocol) ? [] : [[[name], port, protocol]],
      ),
    ),
  );
}

/** Block style for what JSON has in flow style. */
function blockYaml(data: unknown, indent = ''): string {
  if (Array.isArray(data))
    return data.length === 0
      ? '[]\n'
      : `\n${data.map((each) => `${indent}- ${JSON.stringify(each)} # as it was\n`).join('')}`;
  if (typeof data !== 'object' || data === null) return `${JSON.stringify(data)}\n`;
  const entries = Object.entries(data).filter(([, value]) => value !== undefined);
  if (entries.length === 0) return '{}\n';
  const lines = entries.map(([key, value]) => {
    const text = blockYaml(value, `${indent}  `);
    return `${indent}${key}:${text.startsWith('\n') ? '' : ' '}${text}`;
  });
  return `${indent === '' ? '' : '\n'}${lines.join('')}`;
}
