import { describe, expect, test } from 'vitest';
import { parsePolicy } from './parse.ts';
import { formatProblem } from './problem.ts';

/** `line:column code → suggestion` of each problem. */
function mistakes(...texts: string[]): string[] {
  const sources = texts.map((text, i) => ({ path: `${'abc'[i]}.yaml`, text }));
  const { policy, problems } = parsePolicy(sources);
  expect(policy === null).toBe(problems.some(({ severity }) => severity === 'error'));
  return problems.map(
    ({ file, line, column, code, suggestion }) => `${file}:${line}:${column} ${code} → ${suggestion}`,
  );
}

const v = 'version: 1\n';
const rule = (text: string) =>
  `${v}services: { s: { hosts: [s.example] } }\ndeployments:\n  s:\n    allow:\n      - ${text}\n`;

describe('every mistake is told with its place and what was meant', () => {
  test.each<[string, string, string]>([
    ['an unknown key', `${v}services:\n  a: { hots: [x.y] }`, 'a.yaml:3:8 unknown-key → hosts'],
    ['an unknown key at the top', `${v}service: {}`, 'a.yaml:2:1 unknown-key → services'],
    ['a key in camel case', `${v}services:\n  a: { dependsOn: [] }`, 'a.yaml:3:8 unknown-key → depends_on'],
    ['no version', 'services: {}', 'a.yaml:1:1 missing-key → version: 1'],
    ['another version', 'version: 2', 'a.yaml:1:10 bad-version → 1'],
    ['a number for a host', `${v}services:\n  a: { hosts: [1.1] }`, 'a.yaml:3:16 wrong-type → "1.1"'],
    ['a word for a list', `${v}services:\n  a: { hosts: x.y }`, 'a.yaml:3:15 wrong-type → [x.y]'],
    ['nothing for a list', `${v}services:\n  a:\n    hosts:\n`, 'a.yaml:4:11 wrong-type → null'],
    ['a key twice', `${v}services:\n  a:\n    owner: x\n    owner: y\n`, 'a.yaml:5:5 duplicate-key → null'],
    ['a service twice', `${v}services:\n  a: {}\n  a: {}\n`, 'a.yaml:4:3 duplicate-object → null'],
    ['a name in capitals', `${v}services:\n  MySQL: {}\n`, 'a.yaml:3:3 bad-name → mysql'],
    ['a built-in name', `${v}services:\n  public-dns: {}\n`, 'a.yaml:3:3 reserved-name → null'],
    [
      'an unknown dependency',
      `${v}services:\n  mysql: {}\n  a: { depends_on: [mysq] }`,
      'a.yaml:4:21 unknown-service → mysql',
    ],
    ['an unknown service in a rule', rule('{ service: z }'), 'a.yaml:6:20 unknown-service → s'],
    ['a secret that is everything', `${v}mask: ["a=*", "*"]`, 'a.yaml:2:15 bad-mask → null'],
    ['a rule about nothing', rule('{ ports: [443] }'), 'a.yaml:6:9 bad-rule → null'],
    ['a rule about too much', rule('{ service: s, host: x.y }'), 'a.yaml:6:9 bad-rule → null'],
    ['port 70000', rule('{ host: x.y, ports: [443, 70000] }'), 'a.yaml:6:35 bad-port → null'],
    ['a reversed range', rule('{ host: x.y, ports: [90-80/udp] }'), 'a.yaml:6:30 bad-port → 80-90/udp'],
    ['999.1.1.1', rule('{ address: 999.1.1.1 }'), 'a.yaml:6:20 bad-address → null'],
    ['host bits', rule('{ address: 10.0.0.1/8 }'), 'a.yaml:6:20 bad-address → 10.0.0.0/8'],
    ['a prefix too long', rule('{ address: 10.0.0.0/33 }'), 'a.yaml:6:20 bad-address → null'],
    ['a URL', rule('{ host: "https://x.example/a" }'), 'a.yaml:6:17 bad-host → x.example'],
    ['a wildcard in the middle', rule('{ host: a.*.com }'), 'a.yaml:6:17 bad-host → *.com'],
    ['a U-label', rule('{ host: bücher.example }'), 'a.yaml:6:17 bad-host → xn--bcher-kva.example'],
    ['an unquoted wildcard', rule('{ host: *.x.example }'), 'a.yaml:6:17 alias → "*.x.example"'],
    ['an unquoted star', `${v}a: *\n`, 'a.yaml:2:4 yaml → "*"'],
    ['an unquoted at-sign', `${v}services:\n  a: { owner: @web }`, 'a.yaml:3:15 yaml → "@web"'],
    [
      'a mode there is not',
      `${v}services: { s: {} }\ndeployments:\n  s: { mode: enforced }`,
      'a.yaml:4:14 bad-value → enforce',
    ],
    [
      'no such day',
      `${v}services: { s: {}, t: {depends_on: [s]} }\ndeployments:\n  s: { waivers: [{ service: t, until: 2027-02-30 }] }`,
      'a.yaml:4:39 bad-date → null',
    ],
    [
      'a waiver of no service',
      `${v}services: { s: {} }\ndeployments:\n  s: { waivers: [{ service: q1, until: 2027-02-01 }] }`,
      'a.yaml:4:29 unknown-service → null',
    ],
    [
      'a waiver without end',
      `${v}services: { s: {} }\ndeployments:\n  s: { waivers: [{ service: s }] }`,
      'a.yaml:4:18 missing-key → null',
    ],
    [
      'an unknown deployed service',
      `${v}services: { mysql: {} }\ndeployments:\n  d: { deploys: [mysqll] }`,
      'a.yaml:4:18 unknown-service → mysql',
    ],
    [
      'an unknown DNS service',
      `${v}services: { s: {} }\ndeployments:\n  s: { dns: { service: corp } }`,
      'a.yaml:4:24 unknown-service → null',
    ],
    [
      'a DNS service without address',
      `${v}services: { s: {} }\ndeployments:\n  s: { dns: { service: s } }`,
      'a.yaml:4:24 bad-value → null',
    ],
    [
      'an id twice',
      rule('{ id: x, host: a.b }\n      - { id: x, host: c.d }'),
      'a.yaml:7:15 duplicate-id → null',
    ],
    [
      'a limit without a unit',
      `${v}services: { s: {} }\ndeployments:\n  s: { limits: { memory: 2GB } }`,
      'a.yaml:4:26 bad-value → 2GiB',
    ],
    [
      'a limit of no tasks',
      `${v}services: { s: {} }\ndeployments:\n  s: { limits: { tasks: 0 } }`,
      'a.yaml:4:25 bad-value → null',
    ],
    [
      'a limit of half a task',
      `${v}services: { s: {} }\ndeployments:\n  s: { limits: { tasks: 1.5 } }`,
      'a.yaml:4:25 bad-value → null',
    ],
    [
      'a limit of tasks in words',
      `${v}services: { s: {} }\ndeployments:\n  s: { limits: { tasks: many } }`,
      'a.yaml:4:25 wrong-type → null',
    ],
    ['a role in numbers', `${v}roles: { run: [ops, "1000"] }`, 'a.yaml:2:21 bad-role → null'],
    ['a role as in sudoers', `${v}roles: { apply: ["%ops"] }`, 'a.yaml:2:18 bad-role → ops'],
    ['a role there is not', `${v}roles: { aply: [ops] }`, 'a.yaml:2:10 unknown-key → apply'],
    ['a word for a role', `${v}roles: { run: ops }`, 'a.yaml:2:15 wrong-type → [ops]'],
    ['a number for a role', `${v}roles: { run: [7] }`, 'a.yaml:2:16 wrong-type → "7"'],
    [
      'a role that is the whole policy’s',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { roles: { apply: [ops] } }\n  t: {  }`,
      'a.yaml:4:17 unknown-key → null',
    ],
    [
      'a unit without a kind',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { match: { units: [x] } }\n  t: {  }`,
      'a.yaml:4:25 bad-match → x.service',
    ],
    [
      'every service of the host',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { match: { units: ["*.service"] } }\n  t: {  }`,
      'a.yaml:4:25 bad-match → null',
    ],
    [
      'a match of nothing',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { match: { required: true } }\n  t: {  }`,
      'a.yaml:4:15 bad-match → null',
    ],
    [
      'a match of an empty list',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { match: { units: [] } }\n  t: {  }`,
      'a.yaml:4:24 bad-value → null',
    ],
    [
      'a match misspelt',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { match: { unit: [x.service] } }\n  t: {  }`,
      'a.yaml:4:17 unknown-key → units',
    ],
    [
      'a unit matched twice',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { match: { units: [x.service] } }\n  t: { match: { units: [x.service] } }`,
      'a.yaml:5:25 duplicate-match → null',
    ],
    [
      'a delegate there is not',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { delegate: { dockr: deny } }\n  t: {  }`,
      'a.yaml:4:20 unknown-key → docker',
    ],
    [
      'an answer there is not',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { delegate: { docker: block } }\n  t: {  }`,
      'a.yaml:4:28 bad-value → null',
    ],
    [
      'a delegate that takes files',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { delegate: { cron: deny } }\n  t: {  }`,
      'a.yaml:4:26 bad-delegate → audit',
    ],
    [
      'systemd denied and its bus not',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { delegate: { systemd: deny, dbus: audit } }\n  t: {  }`,
      'a.yaml:4:41 bad-delegate → deny',
    ],
    [
      'a word for a switch',
      `${v}services: { s: {}, t: {} }\ndeployments:\n  s: { observe_units: "yes" }\n  t: {  }`,
      'a.yaml:4:23 wrong-type → null',
    ],
    ['a tag', `${v}services: !!map {}`, 'a.yaml:2:11 tag → null'],
    ['two documents', `${v}---\n${v}`, 'a.yaml:2:1 yaml → null'],
    ['broken YAML', `${v}services: { a: [\n`, 'a.yaml:3:1 yaml → null'],
    ['an empty file', '', 'a.yaml:1:1 empty → null'],
    ['comments only', '# later\n', 'a.yaml:1:1 empty → null'],
    ['a binary file', 'ELF\0\x01', 'a.yaml:1:1 not-text → null'],
    ['bytes that were no UTF-8', `${v}# \ufffd`, 'a.yaml:1:1 not-text → null'],
    ['over 4 MiB, in bytes', `${v}# ${'ü'.repeat(2_200_000)}`, 'a.yaml:1:1 too-large → null'],
    ['a list for a policy', '- a', 'a.yaml:1:1 wrong-type → null'],
    [
      'a bomb of aliases',
      `${v}a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefg'.replace(/./g, (c) => `${c}: &${c} [${`*${String.fromCharCode(c.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
      'a.yaml:1:1 alias → null',
    ],
    ['a prototype for a service', `${v}services: { __proto__: {} }`, 'a.yaml:2:13 unknown-key → null'],
  ])('%s', (_, text, expected) => expect(mistakes(text)).toContain(expected));
});

test('all mistakes are told, misshapen and misspelt alike, in the order of files and lines', () => {
  const found = mistakes(
    `${v}services:\n  a: { hosts: [1.1, 999.1.1.1], hots: [] }\n  b: { depends_on: [aa] }\n`,
    `${v}deployments:\n  a:\n    allow:\n      - { host: [] }\n      - { host: x.y, ports: [70000] }\n      - { service: bb }\n`,
  );
  expect(found).toEqual([
    'a.yaml:3:16 wrong-type → "1.1"',
    'a.yaml:3:21 bad-host → null',
    'a.yaml:3:33 unknown-key → hosts',
    'a.yaml:4:21 unknown-service → a',
    'b.yaml:5:17 wrong-type → null',
    'b.yaml:6:30 bad-port → null',
    'b.yaml:7:20 unknown-service → b',
  ]);
});

test('files are merged by object; one defined in two names both places', () => {
  const a = `${v}services:\n  mysql: { hosts: [db.example] }\n`;
  const good = parsePolicy([
    { path: 'a.yaml', text: a },
    { path: 'b.yaml', text: `${v}deployments:\n  mysql: { allow: [{ service: mysql }] }\n` },
  ]);
  expect(good.policy?.deployments.get('mysql')?.rules[0]?.source).toBe('b.yaml:3');
  const { problems } = parsePolicy([
    { path: 'a.yaml', text: a },
    { path: 'b.yaml', text: a },
  ]);
  expect(problems[0]).toMatchObject({ file: 'b.yaml', line: 3, code: 'duplicate-object' });
  expect(problems[0]?.message).toContain('a.yaml:3');
});

test('an unreadable file hides no mistake of another, and invents none', () => {
  expect(mistakes(`${v}services: { a: { depends_on: [b] }, c: { hosts: [a..b] } }`, '{')).toEqual([
    'a.yaml:2:50 bad-host → null',
    expect.stringContaining('b.yaml:1:2 yaml'),
  ]);
});

test('no file at all is a problem', () => {
  expect(parsePolicy([]).problems.map(({ code }) => code)).toEqual(['no-files']);
});

describe('warnings leave the policy in force', () => {
  const services = `${v}services:\n  s: {}\n  r: { addresses: [10.0.0.2], ports: [53], depends_on: [s] }\n  t: {}\ndeployments:\n`;
  test.each([
    ['a circular DNS service', '  s: { dns: { service: r } }', 'circular-resolver'],
    [
      'a waiver of what is not circular',
      '  s: { waivers: [{ service: t, until: 2030-01-01 }] }',
      'idle-waiver',
    ],
    ['ports a service does not have', '  s: { allow: [{ service: r, ports: [443] }] }', 'closed-ports'],
    ['a deployment of nothing', '  x: {}', 'nothing-deployed'],
  ])('%s', (_, deployment, code) => {
    const { policy, problems } = parsePolicy([{ path: 'a', text: services + deployment }]);
    expect(problems.map((problem) => [problem.severity, problem.code])).toEqual([['warning', code]]);
    expect(policy).not.toBeNull();
  });
});

test('an alias is followed, and a mistake in what it names is told where that is written', () => {
  expect(mistakes(`${v}services:\n  a: &x { hosts: [a..b] }\n  c: *x\n`)[0]).toBe(
    'a.yaml:3:19 bad-host → null',
  );
});

test('a problem is printed with its place, the text at fault and the suggestion, and no control character', () => {
  const { problems } = parsePolicy([{ path: 'acyclic.yaml', text: `${v}services:\n  a: { hots: [] }` }]);
  expect(problems.map(formatProblem)).toEqual([
    'acyclic.yaml:3:8: unknown key `hots` in service `a`\n  > hots\n  did you mean `hosts`?',
  ]);
  const odd = parsePolicy([{ path: 'a', text: `${v}services: { a: { hosts: ["\\e[31mx"] } }` }]);
  expect(odd.problems.map(formatProblem).join()).not.toMatch(/[^\P{Cc}\n]/u);
});
