import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Transport } from '../model/destination.ts';
import { compile } from './compile.ts';
import { evaluate } from './evaluate.ts';
import { parsePolicy } from './parse.ts';
import { formatProblem } from './problem.ts';
import { worstFirst } from './worst-first.ts';

const NOW = new Date('2026-11-25T12:00:00Z');

/** `line code`, as far as the policy holds. */
function found(text: string, now = NOW): string[] {
  const { policy, problems } = parsePolicy([{ path: 'a.yaml', text: `version: 1\n${text}` }], now);
  if (!policy) throw new Error(problems.map(formatProblem).join('\n'));
  return problems.map(({ line, code }) => `${line} ${code}`);
}

const messages = (text: string) =>
  parsePolicy([{ path: 'a.yaml', text: `version: 1\n${text}` }], NOW).problems.map(({ message }) => message);

const SERVICES = `services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], addresses: [192.0.2.0/24], depends_on: [mysql] }
  mirror: { hosts: ["*.mirror.internal"] }
`;
const deployment = (body: string) => `${SERVICES}deployments:\n  mysql:\n${body.replace(/^/gm, '    ')}\n`;

describe('policy check warns, at the line, of', () => {
  test.each([
    ['nothing, where there is nothing', deployment('allow: [{ service: mirror }]'), []],
    [
      'cgroups that two deployments match',
      'services: { a: { hosts: [a.b] }, b: { hosts: [b.b] } }\ndeployments:\n  a: { match: { units: ["d-*.service", "e.service"], slices: [d.slice] } }\n  b:\n    match:\n      units: [f.service, "*-x.service"]\n      cgroups: [/system.slice/e.service, /docker/e.service]',
      ['7 match-overlap', '8 match-overlap'],
    ],
    [
      'services that need each other',
      'services:\n  a: { hosts: [a.b], depends_on: [b] }\n  b: { hosts: [b.b], depends_on: [c] }\n  c: { hosts: [c.b], depends_on: [x, a] }\n  x: {}\ndeployments: { a: {} }',
      ['3 service-cycle'],
    ],
    [
      'a service that needs itself',
      'services:\n  a: { depends_on: [a] }\ndeployments: { a: {} }',
      ['3 service-cycle'],
    ],
    [
      'an allow that circular closes, by service, host and address',
      deployment(
        'allow:\n  - { service: mirror }\n  - { service: github }\n  - { host: api.github.com }\n  - { address: 192.0.2.7 }',
      ),
      ['10 closed-rule', '11 closed-rule', '12 closed-rule'],
    ],
    [
      'an allow of a closed service, of which another has a part',
      `services:
  mysql: { hosts: [m.internal] }
  github: { hosts: ["*.github.com"], depends_on: [mysql] }
  pages: { hosts: [pages.github.com] }
deployments:
  mysql: { allow: [{ service: github }, { service: pages }] }`,
      ['4 overlap', '7 closed-rule'],
    ],
    [
      'no allow where circular is off',
      deployment('circular: off\nallow: [{ service: mirror }, { service: github }]'),
      [],
    ],
    [
      'a rule below another of the same pattern, and one below the floor',
      `${deployment('allow:\n  - { service: mirror }\n  - { host: a.example }\n  - { host: x.bad.example }\ndeny:\n  - { host: a.example }')}floor: { deny: [{ host: "*.bad.example" }] }`,
      ['10 shadowed-rule', '11 shadowed-rule'],
    ],
    [
      'no rule that still decides at other ports, or for a closer name',
      deployment(
        'allow:\n  - { service: mirror }\n  - { host: a.example, ports: [443] }\n  - { host: a.example }\n  - { host: "*.b.example" }\n  - { host: x.b.example, ports: [1] }\ndeny:\n  - { host: "*.b.example", ports: [443] }',
      ),
      [],
    ],
    [
      'a rule twice, in the floor too',
      `${deployment('allow: [{ service: mirror }]')}floor:\n  deny:\n    - { address: 10.0.0.0/8 }\n    - { address: 10.0.0.0/8 }`,
      ['12 shadowed-rule'],
    ],
    [
      'a rule about a service that is nowhere',
      'services:\n  mysql: {}\n  empty: {}\ndeployments:\n  mysql: { allow: [{ service: empty }] }',
      ['6 empty-rule'],
    ],
    [
      'patterns within those of another service, and the same ones',
      `services:
  mysql: { hosts: ["*.internal"], addresses: [10.0.0.0/8] }
  twin: { hosts: [b.internal, "*.internal"], addresses: [10.1.0.0/16], depends_on: [mysql] }
deployments: { mysql: {} }`,
      ['3 overlap', '3 overlap', '4 overlap'],
    ],
    [
      'waivers that have lapsed or will within 14 days',
      `${SERVICES}  a: { hosts: [a.b], depends_on: [mysql] }
  b: { hosts: [b.b], depends_on: [mysql] }
  c: { hosts: [c.b], depends_on: [mysql] }
deployments:
  mysql:
    allow: [{ service: mirror }]
    waivers:
      - { service: github, until: 2026-11-24 }
      - { service: a, until: 2026-11-25 }
      - { service: b, until: 2026-12-08 }
      - { service: c, until: 2026-12-09 }`,
      ['13 lapsed-waiver', '14 lapsing-waiver', '15 lapsing-waiver'],
    ],
    [
      'a service nobody uses',
      `${SERVICES}  idle: { hosts: [i.internal], depends_on: [mirror] }\n  egress: { hosts: [e.internal], proxy: true }\ndeployments: { mysql: {} }`,
      ['6 unused-service'],
    ],
    [
      'resolvers that are circular, by service and by address',
      `services:
  mysql: {}
  dns: { addresses: [10.0.0.2], depends_on: [mysql] }
deployments:
  mysql: { dns: { service: dns } }
  other: { deploys: [mysql], dns: { servers: [10.0.0.3, 10.0.0.2] } }`,
      ['6 circular-resolver', '7 circular-resolver'],
    ],
    [
      'circular services without addresses, where the default allows',
      `services:
  mysql: {}
  named: { hosts: [n.internal], depends_on: [mysql] }
  placed: { hosts: [p.internal], addresses: [10.0.0.1], depends_on: [mysql] }
  waived: { hosts: [w.internal], depends_on: [mysql] }
deployments:
  mysql: { default: allow, waivers: [{ service: waived, until: 2030-01-01 }] }`,
      ['4 walkable-service'],
    ],
    [
      'circular services that no call can be told of',
      'services:\n  mysql: {}\n  ghost: { depends_on: [mysql] }\ndeployments: { mysql: {} }',
      ['4 nameless-service'],
    ],
    [
      'names that match public suffixes only, but not in what denies',
      `services:
  mysql: { hosts: ["*.com", "*.internal", "*.example.com", "*.co.uk", co.uk, com, "*.bund.de"] }
deployments:
  mysql:
    allow: [{ host: "*.dev" }, { host: "*", address: 10.0.0.1 }, { host: "*" }]
    deny: [{ host: "*.xyz" }]`,
      ['3 public-suffix', '3 public-suffix', '3 public-suffix', '6 public-suffix', '6 public-suffix'],
    ],
  ])('%s', (_, text, expected) => expect(found(text)).toEqual(expected));
});

test('the messages name the path, what stands above, and who wins', () => {
  expect(messages(deployment('allow: [{ service: mirror }, { service: github }]'))).toEqual([
    'the allow does not open `github`, which is circular: mysql → github → mysql',
  ]);
  const shadowed = deployment('allow: [{ service: mirror }, { host: a.b }]\ndeny: [{ id: no, host: a.b }]');
  expect(messages(shadowed)).toEqual(['the allow never decides: deny no (a.yaml:9) stands above it']);
  const overlap = `services:\n  a: { hosts: ["*.x.internal"] }\n  b: { hosts: [y.x.internal] }\ndeployments: { a: { allow: [{ service: b }] } }`;
  expect(messages(overlap)).toEqual([
    '`*.x.internal` of service `a` holds `y.x.internal` of `b`: being more specific, that one wins',
  ]);
  expect(
    messages('services: { a: { depends_on: [b] }, b: { depends_on: [a] } }\ndeployments: { a: {} }'),
  ).toEqual([
    'services depend on each other in a circle: a → b → a; the cheapest edge to cut is a → b',
    '`b` is circular to deployment `a` and has no hosts and no addresses: no call to it can be told from others, so none is denied for that',
  ]);
});

test('the worst comes first: errors, cycles, what is open, and last what is only untidy', () => {
  const text = `version: 1
services:
  mysql: {}
  idle: { hosts: [i.internal] }
  a: { hosts: [a.b, "*.com"], addresses: [10.0.0.1], depends_on: [b] }
  b: { hosts: [b.b], addresses: [10.0.0.2], depends_on: [a] }
deployments: { mysql: { allow: [{ service: a }] } }`;
  const { problems } = parsePolicy([{ path: 'a', text }], NOW);
  expect(worstFirst(problems).map(({ code }) => code)).toEqual([
    'service-cycle',
    'public-suffix',
    'unused-service',
  ]);
});

test('a policy with an error is not looked at further, nor one that nobody asks of', () => {
  const text = 'version: 1\nservices: { idle: {}, x: { depends_on: [nope] } }';
  expect(parsePolicy([{ path: 'a', text }], NOW).problems.map(({ code }) => code)).toEqual([
    'unknown-service',
  ]);
  expect(parsePolicy([{ path: 'a', text: 'version: 1\nservices: { idle: {} }' }]).problems).toEqual([]);
});

/** For every pattern below, and those of built-in services, one that no closer pattern holds. */
const NAMES = ['a.b.c', 'b.c', 'x.b.c', 'q.c', 'c', 'z', 'd.internal', 'dns.google'];
const ADDRESSES = ['10.0.0.6', '10.0.0.7', '10.1.0.1', '192.0.2.1'];
const PORTS = [22, 80, 443, 8080];
const host = fc.constantFrom('*', '*.c', '*.b.c', 'b.c', 'x.b.c', 'z');
const prefix = fc.constantFrom('10.0.0.0/8', '10.0.0.0/16', '10.0.0.7', '192.0.2.0/24');
const ports = fc.option(fc.constantFrom('[80]', '[443/tcp]', '[1-1000/udp]'), { nil: null });
const service = fc.constantFrom('d', 'p', 'q', 'r');
const rule = fc
  .tuple(
    fc.oneof(
      service.map((s) => `service: ${s}`),
      host.map((h) => `host: "${h}"`),
      prefix.map((p) => `address: ${p}`),
    ),
    ports,
  )
  .map(([about, list]) => `{ ${about}${list === null ? '' : `, ports: ${list}`} }`);
const serviceBody = (needs: readonly string[]) =>
  fc
    .tuple(
      fc.uniqueArray(host, { maxLength: 2 }),
      fc.uniqueArray(prefix, { maxLength: 1 }),
      fc.subarray([...needs]),
    )
    .map(
      ([hosts, addresses, needed]) =>
        `{ hosts: [${hosts.map((h) => `"${h}"`)}], addresses: [${addresses}], depends_on: [${needed}] }`,
    );
const policies = fc
  .record({
    p: serviceBody(['d', 'q']),
    q: serviceBody(['d', 'r']),
    r: serviceBody([]),
    floor: fc.array(rule, { maxLength: 2 }),
    allow: fc.array(rule, { maxLength: 3 }),
    audit: fc.array(rule, { maxLength: 1 }),
    deny: fc.array(rule, { maxLength: 2 }),
  })
  .map(({ p, q, r, floor, allow, audit, deny }) => {
    const list = (rules: readonly string[], indent: string) =>
      rules.map((one) => `\n${indent}- ${one}`).join('') || ' []';
    return `version: 1
services:
  d: { hosts: [d.internal] }
  p: ${p}
  q: ${q}
  r: ${r}
floor:
  deny:${list(floor, '    ')}
deployments:
  d:
    allow:${list(allow, '      ')}
    audit:${list(audit, '      ')}
    deny:${list(deny, '      ')}
`;
  });

test('a rule is said to decide nothing exactly if no call is ever decided by it, as the guard judges calls', () => {
  const kinds = new Set(['closed-rule', 'shadowed-rule', 'empty-rule', 'closed-ports']);
  let [idle, live] = [0, 0];
  fc.assert(
    fc.property(policies, (text) => {
      const { policy, problems } = parsePolicy([{ path: 'a', text }], NOW);
      if (!policy) throw new Error(problems.map(formatProblem).join('\n'));
      const none = { allow: [], deny: [], default: null, mode: null, ownAddresses: [], now: NOW };
      const compiled = compile(policy, { deployment: 'd', ...none });
      const deciding = new Set<string | null>();
      for (const names of [[], ...NAMES.map((name) => [name])])
        for (const address of names.length > 0 ? ['203.0.113.9'] : ADDRESSES)
          for (const protocol of ['tcp', 'udp', 'other'] satisfies Transport[])
            for (const port of protocol === 'other' ? [0] : PORTS)
              deciding.add(evaluate(compiled, { address, names, protocol, port }).rule.source);
      const said = new Map(
        problems.filter(({ code }) => kinds.has(code)).map((one) => [`a:${one.line}`, one]),
      );
      for (const { source } of [...policy.floor, ...(policy.deployments.get('d')?.rules ?? [])]) {
        const warned = said.get(source);
        if (warned) idle++;
        else live++;
        // A service whose part another service has may be left a call in it: it is told that it is closed.
        if (warned?.code !== 'closed-rule')
          expect([text, source, !warned]).toEqual([text, source, deciding.has(source)]);
      }
    }),
    { numRuns: 1500 },
  );
  expect(Math.min(idle, live)).toBeGreaterThan(500);
});
