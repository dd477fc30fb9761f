import { expect, test } from 'vitest';
import { amend } from './amend.ts';
import { parsePolicy } from './parse.ts';
import { formatProblem } from './problem.ts';

const LINES = [
  { rule: null, comment: 'curl' },
  { rule: '{ host: n.example, ports: [443/tcp] }', comment: '3 calls' },
  { rule: '{ host: m.example }', comment: null },
];

function amended(...texts: string[]): string {
  const files = texts.map((text, i) => ({ name: `${'abc'[i]}.yaml`, text }));
  const { name, text } = amend(files, 'd', LINES);
  const after = files.map((file) =>
    file.name === name ? { path: name, text } : { path: file.name, text: file.text },
  );
  const { policy, problems } = parsePolicy(after);
  expect(problems.filter(({ severity }) => severity === 'error').map(formatProblem)).toEqual([]);
  const hosts = policy?.deployments.get('d')?.rules.map(({ host }) => host?.text);
  expect(hosts?.slice(-2)).toEqual(['n.example', 'm.example']);
  return text;
}

test.each([
  [
    'a list, after its last rule and what is said of it',
    `version: 1
deployments:
  d: # the database
    allow:
      - { host: a.example } # first
      - host: b.example
        ports: [80] # last

    # of course
    default: deny
`,
    `version: 1
deployments:
  d: # the database
    allow:
      - { host: a.example } # first
      - host: b.example
        ports: [80] # last
      # curl
      - { host: n.example, ports: [443/tcp] } # 3 calls
      - { host: m.example }

    # of course
    default: deny
`,
  ],
  [
    'a list that is not indented, in a file that ends without a newline',
    'version: 1\ndeployments:\n  d:\n    allow:\n    - host: a.example',
    'version: 1\ndeployments:\n  d:\n    allow:\n    - host: a.example\n    # curl\n    - { host: n.example, ports: [443/tcp] } # 3 calls\n    - { host: m.example }\n',
  ],
  [
    'a list on the line of its key, which is written out',
    'version: 1\ndeployments:\n  d:\n    allow: [{ host: a.example }, {host: "b.example"}] # both\n    default: deny\n',
    'version: 1\ndeployments:\n  d:\n    allow: # both\n      - { host: a.example }\n      - {host: "b.example"}\n      # curl\n      - { host: n.example, ports: [443/tcp] } # 3 calls\n      - { host: m.example }\n    default: deny\n',
  ],
  [
    'a list in flow style over several lines',
    'version: 1\ndeployments:\n  d:\n    allow: [\n      { host: a.example } ]\n    default: deny\n',
    'version: 1\ndeployments:\n  d:\n    allow: [\n      { host: a.example },\n        # curl\n        { host: n.example, ports: [443/tcp] }, # 3 calls\n        { host: m.example }\n      ]\n    default: deny\n',
  ],
  [
    'an empty list',
    'version: 1\ndeployments:\n  d: { allow: [], default: deny }\n',
    'version: 1\ndeployments:\n  d: { allow: [\n      # curl\n      { host: n.example, ports: [443/tcp] }, # 3 calls\n      { host: m.example }\n    ], default: deny }\n',
  ],
  [
    'a deployment without a list',
    'version: 1\ndeployments:\n  d:\n    default: deny # as ever\n\n  e: {}\n',
    'version: 1\ndeployments:\n  d:\n    default: deny # as ever\n    allow:\n      # curl\n      - { host: n.example, ports: [443/tcp] } # 3 calls\n      - { host: m.example }\n\n  e: {}\n',
  ],
  [
    'an empty deployment',
    'version: 1\ndeployments:\n  d: {}\n',
    'version: 1\ndeployments:\n  d: {\n      allow: [\n        # curl\n        { host: n.example, ports: [443/tcp] }, # 3 calls\n        { host: m.example }\n      ]\n    }\n',
  ],
  [
    'a policy without the deployment',
    'version: 1\ndeployments:\n  e: {}\nservices:\n  s: {}\n',
    'version: 1\ndeployments:\n  e: {}\n  d:\n    allow:\n      # curl\n      - { host: n.example, ports: [443/tcp] } # 3 calls\n      - { host: m.example }\nservices:\n  s: {}\n',
  ],
  [
    'a policy without deployments',
    'version: 1\n',
    'version: 1\ndeployments:\n  d:\n    allow:\n      # curl\n      - { host: n.example, ports: [443/tcp] } # 3 calls\n      - { host: m.example }\n',
  ],
])('adds to %s', (_, before, after) => {
  expect(amended(before)).toBe(after);
});

test.each([
  ['JSON', '{"version": 1, "deployments": {"d": {"allow": [{"host": "a.example"}], "default": "deny"}}}'],
  ['JSON without deployments', '{"version": 1}'],
  ['a trailing comma', 'version: 1\ndeployments: { d: { allow: [ { host: a.example }, ], } }\n'],
  [
    'a comment before the bracket',
    'version: 1\ndeployments:\n  d:\n    allow: [\n      { host: a.example } # a\n    ]\n',
  ],
  ['CRLF', 'version: 1\r\ndeployments:\r\n  d:\r\n    allow:\r\n      - host: a.example\r\n'],
])('adds to a policy in %s', (style, text) => {
  const after = amended(text);
  if (style === 'CRLF') expect(after.split('\r\n').join('')).not.toContain('\n');
});

test('adds to the file that has the deployment, or to the one with deployments', () => {
  expect(amended('version: 1\n', 'version: 1\ndeployments:\n  d: {}\n')).toContain('n.example');
  expect(amended('version: 1\n', 'version: 1\ndeployments:\n  e: {}\n')).toContain('d:\n');
});

test('refuses an alias, since what is added to it is added elsewhere too', () => {
  const text = 'version: 1\ndeployments:\n  e: &e { default: deny }\n  d: *e\n';
  expect(() => amend([{ name: 'a', text }], 'd', LINES)).toThrow('`deployments.d` is a YAML alias');
});

test('adds nothing where there is nothing to add', () => {
  const text = 'version: 1\n';
  expect(amend([{ name: 'a', text }], 'd', [])).toEqual({ name: 'a', text });
});
