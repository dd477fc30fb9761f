import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Name } from '../model/name.ts';
import { type CompiledPolicy, compile } from './compile.ts';
import { segmentsOf } from './flatten.ts';
import { kindOf } from './kind.ts';
import { parsePolicy } from './parse.ts';
import { formatProblem } from './problem.ts';

const options = { deployment: 'd', allow: [], deny: [], default: null, mode: null, now: new Date(0) };

function compiled(written: object): CompiledPolicy {
  const { policy, problems } = parsePolicy([{ path: 'p.yaml', text: JSON.stringify(written) }]);
  if (!policy) throw new Error(problems.map(formatProblem).join('\n'));
  return compile(policy, { ...options, ownAddresses: ['10.0.0.5'] });
}

const NAMES = ['a.b.c', 'b.c', 'x.b.c', 'y.x.b.c', 'z'];
const host = fc.constantFrom('*', '*.c', '*.b.c', 'b.c', 'a.b.c', 'x.b.c', '*.x.b.c', 'z');
const address = fc.constantFrom('10.0.0.5', '10.0.0.6', '192.0.2.1', '127.0.0.1', '2001:db8::1');
const prefix = fc.constantFrom('10.0.0.0/8', '10.0.0.5', '10.0.0.6', '192.0.2.0/24', '2001:db8::/32');
// Few ports and few names of an address, so that kinds meet which differ in one rule.
const ports = fc.constantFrom(undefined, ['443'], ['443'], ['80-443', '53/udp'], ['22']);
const rule = fc.oneof(
  fc.record({ ports, host }),
  fc.record({ ports, address: prefix }),
  { arbitrary: fc.record({ ports, host, address: prefix }), weight: 3 },
  fc.record({ ports, service: fc.constantFrom('s', 't') }),
);
// A rule's ports and its service's may have none in common.
const service = (depends_on: string[]) =>
  fc.record({ hosts: fc.uniqueArray(host, { maxLength: 2 }), ports, depends_on: fc.constant(depends_on) });
const written = fc.record({
  version: fc.constant(1),
  services: fc.record({ d: fc.constant({ hosts: ['d.d'] }), s: service(['d']), t: service([]) }),
  floor: fc.record({ deny: fc.array(rule, { maxLength: 1 }) }),
  deployments: fc.record({
    d: fc.record({
      default: fc.constantFrom('allow', 'deny'),
      allow: fc.array(rule, { maxLength: 4, size: 'max' }),
      audit: fc.array(rule, { maxLength: 2 }),
      deny: fc.array(rule, { maxLength: 3, size: 'max' }),
    }),
  }),
});
const others = fc.array(fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 2 }), { maxLength: 3 });

test('of two chains of one kind, one has the answers of both, beside any others', () => {
  let alike = 0;
  const check = (policy: CompiledPolicy, at: string, rest: Name[]) => {
    const kinds = new Map(NAMES.map((name) => [name, kindOf(policy, at, [name])]));
    for (const one of NAMES) {
      for (const other of NAMES) {
        if (one === other || kinds.get(one) !== kinds.get(other)) continue;
        alike++;
        const beside = rest.map((each) => [each]);
        const both = segmentsOf(policy, at, [[one], [other], ...beside]);
        expect(segmentsOf(policy, at, [[one], ...beside]), `${one} for ${other} at ${at}`).toEqual(both);
      }
    }
  };
  fc.assert(
    fc.property(written, address, others, (plain, at, more) => {
      const policy = compiled(plain);
      for (const rest of [[], ...more]) check(policy, at, rest);
    }),
    { numRuns: 1500 },
  );
  expect(alike).toBeGreaterThan(1500);
});

test('names that ten thousand rules of one sort list are of one kind', () => {
  const allow = Array.from({ length: 10_000 }, (_, i) => ({ host: `h${i}.example`, ports: [443] }));
  const policy = compiled({ version: 1, deployments: { d: { circular: 'off', allow } } });
  const kinds = new Set(allow.map(({ host: name }) => kindOf(policy, '192.0.2.1', [name])));
  expect(kinds.size).toBe(1);
  expect(kindOf(policy, '192.0.2.1', ['other.example'])).not.toBe([...kinds][0]);
});

test('a rule that is left no port is not like one that holds every port', () => {
  const policy = compiled({
    version: 1,
    services: { s: { hosts: ['z'], ports: [22] } },
    deployments: { d: { circular: 'off', allow: [{ service: 's', ports: [443] }, { host: 'y' }] } },
  });
  expect(kindOf(policy, '192.0.2.1', ['z'])).not.toBe(kindOf(policy, '192.0.2.1', ['y']));
});
