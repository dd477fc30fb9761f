import fc from 'fast-check';
import type { AuditEvent } from '../src/model/event.ts';
import type { RuleKind, Verdict } from '../src/model/verdict.ts';

/** The parts of an event that learning looks at; what is not given is as in a run that is only observed. */
export interface Recorded {
  readonly kind?: AuditEvent['kind'];
  readonly address?: string | null;
  readonly port?: number | null;
  readonly protocol?: string;
  readonly names?: readonly string[];
  readonly pid?: number;
  readonly comm?: string;
  readonly run?: string;
  readonly deployment?: string | null;
  readonly count?: number;
  readonly verdict?: Verdict;
  readonly rule?: RuleKind;
  readonly cycle?: readonly string[];
  readonly time?: string;
}

/** An event as `acyclic run --report` writes it. */
export function recorded(given: Recorded): AuditEvent {
  const { kind = 'connect', address = kind === 'dns' ? null : '192.0.2.1', verdict = 'allow' } = given;
  const { port = kind === 'dns' ? 53 : 443, protocol = kind === 'dns' ? 'udp' : 'tcp', cycle } = given;
  const { rule = 'default', comm = 'curl', time = '2026-11-23T03:20:33.123456789Z' } = given;
  const source = rule === 'default' && verdict === 'allow' ? null : 'acyclic.yaml:4';
  return {
    v: 1,
    id: '01JEVENT',
    time,
    host: 'db-1',
    run: given.run ?? '01JRUN',
    deployment: given.deployment ?? null,
    policy: null,
    count: given.count ?? 1,
    kind,
    destination: { address, port, protocol, names: given.names ?? [], service: null },
    process: {
      ...{ pid: given.pid ?? 100, start: null, uid: 0, comm, exe: `/usr/bin/${comm}`, argv: [comm] },
      ancestry: [],
    },
    verdict,
    rule: { source, kind: rule, reason: null, owner: null },
    dependency: cycle ? { kind: null, evidence: null, path: cycle } : null,
    outcome: null,
    hook: kind === 'dns' ? 'dns' : 'cgroup/connect4',
  };
}

const NAMES = ['a.b.c', 'b.c', 'x.b.c', 'y.x.b.c', 'c', 'z', 'db-1.pool.internal', 'db-2.pool.internal'];
const ADDRESSES = ['10.0.0.6', '10.0.0.7', '192.0.2.1', '2001:db8::1', '2001:dead::1'];
const PORTS = [22, 80, 81, 443, 3306, 8080];

const name = fc.constantFrom(...NAMES);
const common = {
  pid: fc.integer({ min: 100, max: 103 }),
  comm: fc.constantFrom('curl', 'git', 'odd\nname', 'l\u0151\ufffd\ud800'),
  count: fc.integer({ min: 1, max: 9 }),
};
const outcome = fc.oneof(
  { arbitrary: fc.constant({ verdict: 'allow', rule: 'default' } as const), weight: 6 },
  fc.constantFrom<Pick<Recorded, 'verdict' | 'rule' | 'cycle'>>(
    { verdict: 'would-deny', rule: 'default' },
    { verdict: 'would-deny', rule: 'audit' },
    { verdict: 'deny', rule: 'default' },
    { verdict: 'deny', rule: 'deny' },
    { verdict: 'would-deny', rule: 'circular', cycle: ['d', 's1', 'd'] },
  ),
);
const lookup = fc.record({
  kind: fc.constant('dns' as const),
  names: fc.uniqueArray(name, { minLength: 1, maxLength: 2 }),
});
const call = fc.record({
  kind: fc.constantFrom('connect' as const, 'send' as const),
  address: fc.constantFrom(...ADDRESSES),
  port: fc.constantFrom(...PORTS),
  protocol: fc.constantFrom('tcp', 'tcp', 'udp'),
  names: fc.uniqueArray(name, { maxLength: 2 }),
});
const ping = fc.record({
  address: fc.constantFrom(...ADDRESSES),
  port: fc.constant(null),
  protocol: fc.constant('icmp'),
  names: fc.uniqueArray(name, { maxLength: 1 }),
});

/** Events of one run: lookups, calls, and now and then a ping; most let through. */
export const recordedRun: fc.Arbitrary<AuditEvent[]> = fc.array(
  fc
    .tuple(
      fc.record(common),
      outcome,
      fc.oneof({ arbitrary: lookup, weight: 3 }, { arbitrary: call, weight: 5 }, ping),
    )
    .map((parts) => recorded(Object.assign({}, ...parts))),
  { maxLength: 25 },
);
