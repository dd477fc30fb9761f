import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compiled, destination, options, written } from '../../test/kernel/harness-cases.ts';
import { recorded } from '../../test/recorded.ts';
import type { AuditEvent } from '../model/event.ts';
import type { RuleKind, Verdict } from '../model/verdict.ts';
import { type CompiledPolicy, compile } from './compile.ts';
import { evaluate } from './evaluate.ts';
import { parsePolicy } from './parse.ts';
import { breaks, isBreaking, Replayer } from './replay.ts';

const target = ({ kind, destination: to }: AuditEvent) =>
  `${to?.names[0] ?? to?.address}${kind === 'dns' ? ' (dns)' : `:${to?.port}/${to?.protocol}`}`;

const delegateAt = (path: string) => (path === '/run/docker.sock' ? ('docker' as const) : null);

function policyOf(text: string, mode: 'audit' | 'enforce' | null = null): CompiledPolicy {
  const { policy } = parsePolicy([{ path: 'p.yaml', text: `version: 1\n${text}` }]);
  const none = { allow: [], deny: [], default: null, ownAddresses: [], now: new Date(0) };
  return compile(policy, { ...none, deployment: 'd', mode });
}

function replay(policy: CompiledPolicy | null, events: readonly AuditEvent[]) {
  const replayer = new Replayer({ policyFor: () => policy, target, delegateAt });
  for (const event of events) replayer.add(event);
  return replayer.result();
}

/** The event a run under the policy would have recorded. */
function record(policy: CompiledPolicy, call: Parameters<typeof evaluate>[1]): AuditEvent {
  const { verdict, rule } = evaluate(policy, call);
  const protocol = call.protocol === 'other' ? 'icmp' : call.protocol;
  const kind = protocol === 'udp' ? 'send' : 'connect';
  return { ...recorded({ ...call, kind, protocol, verdict }), rule: { ...rule } };
}

test('the policy that a record was made under decides nothing differently, in either mode', () => {
  const mode = fc.constantFrom('audit' as const, 'enforce' as const);
  fc.assert(
    fc.property(written, options, mode, fc.array(destination), (policyText, given, recordedIn, calls) => {
      const policy = compiled({ written: policyText, options: given }, []);
      const events = calls.map((call) => record({ ...policy, mode: recordedIn }, call));
      const found = replay(policy, events);
      expect(found.differences).toEqual([]);
      expect(breaks(found)).toBe(false);
    }),
    { numRuns: 200 },
  );
});

test('what another policy decides differently is what evaluate says, counted', () => {
  fc.assert(
    fc.property(written, written, fc.array(destination), (one, other, calls) => {
      const none = { allow: [], deny: [], default: null };
      const [was, is] = [one, other].map((text) => compiled({ written: text, options: none }, []));
      if (!was || !is) return;
      const differ = calls.filter((call) => evaluate(was, call).answer !== evaluate(is, call).answer);
      const broken = differ.filter((call) => evaluate(is, call).answer === 'deny');
      const found = replay(
        is,
        calls.map((call) => record(was, call)),
      );
      const count = (all: typeof found.differences) => all.reduce((sum, each) => sum + each.count, 0);
      expect(count(found.differences)).toBe(differ.length);
      expect(count(found.differences.filter(isBreaking))).toBe(broken.length);
      expect(breaks(found)).toBe(broken.length > 0);
      expect(found.same).toBe(calls.length - differ.length);
    }),
    { numRuns: 200 },
  );
});

describe('replay', () => {
  const text = 'deployments: { d: { allow: [{ host: a.example }], audit: [{ host: b.example }] } }';

  test('tells each way to differ once, with its count and latest example, breaking ones first', () => {
    const found = replay(policyOf(text), [
      recorded({ names: ['c.example'], count: 3 }),
      recorded({ names: ['c.example'], time: '2026-11-24T00:00:00Z' }),
      recorded({ names: ['a.example'], verdict: 'deny', rule: 'deny', count: 9 }),
      recorded({ names: ['a.example'] }),
    ]);
    expect(found).toMatchObject({ runs: 1, calls: 14, same: 1, unenforced: 0 });
    expect(found.differences).toMatchObject([
      {
        destination: 'c.example:443/tcp',
        before: 'allow',
        after: { answer: 'deny', rule: { kind: 'default', source: 'p.yaml:2' } },
        count: 4,
        example: { time: '2026-11-24T00:00:00Z' },
      },
      { destination: 'a.example:443/tcp', before: 'deny', after: { answer: 'allow' }, count: 9 },
    ]);
  });

  test('counts lookups, and looks at the route, with the call they were made for, unless they fare otherwise', () => {
    const names = ['c.example', 'alias.example'];
    const lookup = recorded({ kind: 'dns', names });
    const events = [lookup, recorded({ names, protocol: 'udp' }), recorded({ names })];
    const told = ({ differences }: ReturnType<typeof replay>) =>
      differences.map(({ destination, example, count }) => [destination, example.kind, count]);
    expect(told(replay(policyOf(text), events))).toEqual([['c.example:443/tcp', 'connect', 3]]);
    expect(told(replay(policyOf(text), [lookup]))).toEqual([['c.example (dns)', 'dns', 1]]);
    const port = 'deployments: { d: { allow: [{ host: c.example, ports: [80] }] } }';
    expect(told(replay(policyOf(port), events))).toEqual([['c.example:443/tcp', 'connect', 2]]);
  });

  test('an audit rule allows: to lose it breaks, to gain one does not', () => {
    const marked = recorded({ names: ['c.example'], verdict: 'would-deny', rule: 'audit' });
    expect(breaks(replay(policyOf(text), [marked]))).toBe(true);
    const gained = replay(policyOf(text), [recorded({ names: ['b.example'] })]);
    expect(gained.differences).toMatchObject([{ before: 'allow', after: { answer: 'audit' } }]);
    expect(breaks(gained)).toBe(false);
  });

  test('calls that audit mode let through are counted where they would be stopped now', () => {
    const event = recorded({ names: ['c.example'], verdict: 'would-deny', count: 2 });
    expect(replay(policyOf(text), [event])).toMatchObject({ differences: [], same: 2, unenforced: 2 });
    expect(replay(policyOf(text, 'audit'), [event])).toMatchObject({ same: 2, unenforced: 0 });
  });

  test('what was exempt from the default then is so now, unless a rule speaks of it', () => {
    const own = {
      ...recorded({ address: '10.0.0.5' }),
      rule: { source: null, kind: 'default' as const, reason: "this host's own address", owner: null },
    };
    expect(replay(policyOf(text), [own])).toMatchObject({ differences: [], same: 1 });
    const closed = 'deployments: { d: { deny: [{ address: 10.0.0.0/8 }] } }';
    expect(breaks(replay(policyOf(closed), [own]))).toBe(true);
  });

  test('a look at the route goes where TCP may go', () => {
    const probe = recorded({ names: ['a.example'], protocol: 'udp' });
    const narrow = 'deployments: { d: { allow: [{ host: a.example, ports: [443/tcp] }] } }';
    expect(replay(policyOf(narrow), [probe])).toMatchObject({ differences: [], same: 1 });
    expect(breaks(replay(policyOf(narrow), [{ ...probe, kind: 'send' }]))).toBe(true);
  });

  test('a deployment that is gone breaks its runs', () => {
    const found = replay(null, [recorded({ deployment: 'old', count: 5 })]);
    expect([...found.unknown]).toEqual([['old', 5]]);
    expect(breaks(found)).toBe(true);
  });

  test('what the guard could not judge, lookups by the proxy and escapes are no calls of the policy', () => {
    const fault = recorded({ verdict: 'deny' });
    const cause = {
      ...fault,
      rule: { source: null, kind: 'default' as const, reason: 'no-entry', owner: null },
    };
    const dns = recorded({ address: '10.0.0.2', port: 53, protocol: 'udp' });
    expect(replay(policyOf(text), [cause, dns, { ...fault, kind: 'escape', verdict: null }])).toMatchObject({
      calls: 0,
    });
  });

  test('judges work handed on by what the policy says of who took it, and no other socket', () => {
    const work = (path: string, verdict: Verdict, rule: RuleKind): AuditEvent => ({
      ...recorded({ kind: 'exec-outside', address: null, port: null, names: [path], verdict, rule }),
    });
    const events = [
      work('/run/docker.sock', 'would-deny', 'default'),
      work('/run/docker.sock', 'deny', 'deny'),
      work('/run/nscd/socket', 'allow', 'default'),
    ];
    const unsaid = replay(policyOf('deployments: { d: {} }'), events);
    expect(unsaid).toMatchObject({
      calls: 2,
      same: 1,
      differences: [{ before: 'deny', after: { answer: 'audit' } }],
    });
    expect(breaks(unsaid)).toBe(false);
    const denied = replay(policyOf('deployments: { d: { delegate: { docker: deny } } }'), events);
    expect(denied).toMatchObject({
      ...{ calls: 2, same: 1 },
      differences: [
        {
          before: 'audit',
          after: { answer: 'deny', verdict: 'deny', rule: { kind: 'deny', source: 'p.yaml:2' } },
        },
      ],
    });
    expect(breaks(denied)).toBe(true);
    const watched = replay(policyOf('deployments: { d: { delegate: { docker: deny } } }', 'audit'), [
      work('/run/docker.sock', 'would-deny', 'deny'),
    ]);
    expect(watched).toMatchObject({ same: 1, differences: [], unenforced: 0 });
  });
});
