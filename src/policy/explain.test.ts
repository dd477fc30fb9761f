import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compiled, destination, options, written } from '../../test/kernel/harness-cases.ts';
import type { Destination } from '../model/destination.ts';
import { builtinServices } from './builtin.ts';
import { compile } from './compile.ts';
import { parseDest } from './dest.ts';
import { evaluate, evaluateLookup } from './evaluate.ts';
import { type Explanation, explain } from './explain.ts';
import { type ExplainedPart, explainDest } from './explain-dest.ts';
import { parsePolicy } from './parse.ts';
import { formatPorts } from './ports.ts';
import { isFault } from './problem.ts';
import { namedTiers } from './tier-names.ts';

/** The rule that the tiers of an explanation lead to, read from them alone. */
function led({ tiers, decision }: Explanation) {
  const deciding = tiers.find(({ answer }) => answer !== null);
  expect(tiers.map(({ decides }) => decides)).toEqual(tiers.map((tier) => tier === deciding));
  if (!deciding) return { answer: decision.answer, rule: decision.rule, kind: 'default' };
  const rules = deciding.identities.flatMap(({ winner }) => winner ?? []);
  const strongest = (['deny', 'allow', 'audit'] as const).find((answer) =>
    rules.some((clause) => clause.answer === answer),
  );
  const rule = rules.find((clause) => clause.answer === strongest)?.rule;
  return { answer: strongest, rule, kind: rule?.kind };
}

test('an explanation leads to what the guard decides, and by the same rule', () => {
  fc.assert(
    fc.property(written, options, destination, (policyText, given, to) => {
      const policy = compiled({ written: policyText, options: given }, ['10.0.0.5']);
      expect(namedTiers(policy)).toHaveLength(policy.tiers.length);
      const asked: [Destination, ReturnType<typeof evaluate>][] = [
        [to, evaluate(policy, to)],
        [{ ...to, address: null }, evaluateLookup(policy, to.names)],
      ];
      for (const [wanted, guard] of asked) {
        const explanation = explain(policy, wanted);
        expect(explanation.decision).toEqual(guard);
        const { answer, rule, kind } = led(explanation);
        expect([answer, rule, kind]).toEqual([guard.answer, guard.rule, guard.rule.kind]);
      }
    }),
    { numRuns: 500 },
  );
});

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], addresses: [192.0.2.0/24], depends_on: [mysql] }
  mirror: { hosts: ["*.mirror.internal"], ports: [80/tcp, 443/tcp] }
floor:
  deny: [{ service: public-dns }]
deployments:
  mysql:
    allow:
      - { service: mirror }
      - { host: vault.internal, ports: [8200/tcp] }
      - { host: "*.mirror.internal" }
      - { host: github.com }
      - { address: 10.0.0.0/8 }
    deny:
      - { host: old.mirror.internal, ports: [80] }
      - { address: 10.1.0.0/16, ports: [22] }
`;
const { policy: parsed } = parsePolicy([{ path: 'p.yaml', text: POLICY }]);
const none = { deployment: null, allow: [], deny: [], default: null, mode: null, ownAddresses: [] };
const policy = compile(parsed, { ...none, now: new Date(0) });
const services = new Map([...builtinServices, ...(parsed?.services ?? [])]);

function parts(text: string, known = {}): ExplainedPart[] {
  const dest = parseDest(text);
  if (isFault(dest)) throw new Error(dest.message);
  return explainDest(policy, dest, services, { address: null, names: [], ...known });
}

/** `allow p.yaml:11 at 443/tcp, …` of each span of ports. */
function calls({ calls: spans }: ExplainedPart): string[] {
  return spans.map(({ ports, explanation: { decision } }) => {
    const at = ports.map((piece) =>
      piece.protocol === 'other' ? 'other' : formatPorts({ ...piece, protocol: piece.protocol }),
    );
    return `${decision.answer} ${decision.rule.kind} ${decision.rule.source} at ${at.join(' ')}`;
  });
}

describe('a DEST', () => {
  test('of a host is its lookup and its calls, one for each span of ports with another outcome', () => {
    const [vault, ...more] = parts('vault.internal');
    expect(more).toEqual([]);
    expect(vault?.lookup?.decision).toMatchObject({ answer: 'allow', rule: { source: 'p.yaml:12' } });
    expect(vault && calls(vault)).toEqual([
      'deny default p.yaml:9 at 0-8199/tcp 8201-65535/tcp 0-65535/udp other',
      'allow allow p.yaml:12 at 8200/tcp',
    ]);
  });

  test('with ports is about those ports alone', () => {
    expect(parts('vault.internal:8000-8200/tcp').map(calls)).toEqual([
      ['deny default p.yaml:9 at 8000-8199/tcp', 'allow allow p.yaml:12 at 8200/tcp'],
    ]);
  });

  test('that is a wildcard stands for names no rule names closer, and says which are', () => {
    const [below] = parts('*.mirror.internal:80/tcp');
    expect(below?.anyName).toBe('any.mirror.internal');
    expect(below?.closer).toEqual(['old.mirror.internal']);
    expect(below && calls(below)).toEqual(['allow allow p.yaml:11 at 80/tcp']);
  });

  test('that is a prefix stands for addresses no longer prefix holds', () => {
    const [prefix] = parts('10.0.0.0/8:22');
    expect(prefix).toMatchObject({ anyAddress: '10.0.0.0', closer: ['10.1.0.0/16'] });
    expect(prefix && calls(prefix)).toEqual(['allow allow p.yaml:15 at 22/tcp 22/udp']);
    expect(parts('10.1.2.3:22/tcp').map(calls)).toEqual([['deny deny p.yaml:18 at 22/tcp']]);
  });

  test('that is a service is each of its hosts and addresses', () => {
    expect(parts('service:github:443/tcp').map((part) => [part.about, ...calls(part)])).toEqual([
      ['github.com', 'deny circular p.yaml:4 at 443/tcp'],
      ['*.github.com', 'deny circular p.yaml:4 at 443/tcp'],
      ['192.0.2.0/24', 'deny circular p.yaml:4 at 443/tcp'],
    ]);
  });

  test('is judged with the address and the aliases that are known of it', () => {
    expect(parts('vault.internal:8200/tcp', { address: '192.0.2.1' }).map(calls)).toEqual([
      ['deny circular p.yaml:4 at 8200/tcp'],
    ]);
    expect(parts('vault.internal:8200/tcp', { names: ['github.com'] }).map(calls)).toEqual([
      ['deny circular p.yaml:4 at 8200/tcp'],
    ]);
  });

  test('is told for each family of addresses where they differ', () => {
    const text = `version: 1\ndeployments: { d: { allow: [{ host: a.b }], deny: [{ address: "::/0" }] } }`;
    const split = compile(parsePolicy([{ path: 'p', text }]).policy, { ...none, now: new Date(0) });
    const dest = parseDest('a.b:443/tcp');
    if (isFault(dest)) throw new Error(dest.message);
    const found = explainDest(split, dest, services, { address: null, names: [] });
    expect(found.map((part) => [part.anyAddress, ...calls(part)])).toEqual([
      ['0.0.0.1', 'allow allow p:2 at 443/tcp'],
      ['::2', 'deny deny p:2 at 443/tcp'],
    ]);
  });
});

test('every rule considered has its fate', () => {
  const to = { address: '203.0.113.1', port: 80, protocol: 'tcp' as const, names: ['old.mirror.internal'] };
  const rules = explain(policy, to).tiers.find(({ name }) => name === 'rules');
  expect(rules?.identities[0]?.candidates.map(({ clause, fate }) => [clause.rule.source, fate])).toEqual([
    ['p.yaml:17', 'won'],
    ['p.yaml:11', 'less-close'],
    ['p.yaml:13', 'less-close'],
  ]);
  const other = explain(policy, { ...to, port: 443, names: ['x.mirror.internal'] }).tiers[3];
  expect(other?.identities[0]?.candidates.map(({ clause, fate }) => [clause.rule.source, fate])).toEqual([
    ['p.yaml:11', 'won'],
    ['p.yaml:13', 'without-ports'],
  ]);
});
