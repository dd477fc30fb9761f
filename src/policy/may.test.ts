import { describe, expect, test } from 'vitest';
import { type Act, mayDo, subjectsOf } from './may.ts';
import { parsePolicy } from './parse.ts';
import type { Policy } from './policy.ts';
import { readSubject, writtenSubject } from './roles.ts';

function policyOf(roles: string, own = '{}', other = '{}'): Policy {
  const text = `version: 1
services: { mysql: {}, web: {} }
roles: ${roles}
deployments:
  mysql: { roles: ${own} }
  web: { roles: ${other} }`;
  const { policy, problems } = parsePolicy([{ path: 'a', text }]);
  if (!policy) throw new Error(problems.map(({ message }) => message).join());
  return policy;
}

/** Alice, who is in the group ops. */
const alice = new Set(['user:alice', 'ops']);
const may = (policy: Policy | null, act: Act) =>
  mayDo(policy, (subject) => alice.has(writtenSubject(subject)), act).allowed;
const run = (deployment: string | null): Act => ({ what: 'run', deployment });
const entries = (deployment: string | null): Act => ({ what: 'entries', deployment });
const glass = (deployment: string | null): Act => ({ what: 'break-glass', deployment });

describe('without a word of policy members run, and the rest is root’s', () => {
  test.each([
    ['no policy', null],
    ['no roles', policyOf('{}')],
  ])('%s', (_, policy) => {
    expect([run(null), run('mysql')].map((act) => may(policy, act))).toEqual([true, true]);
    const rest: Act[] = [
      { what: 'apply' },
      { what: 'attach' },
      entries(null),
      entries('mysql'),
      glass('mysql'),
    ];
    expect(rest.map((act) => may(policy, act))).toEqual([false, false, false, false, false]);
  });
});

test.each([
  ['ops', true],
  ['user:alice', true],
  ['group:ops', true],
  ['user:ops', false],
  ['alice', false],
  ['dba', false],
])('a role that names %s: %j', (subject, allowed) => {
  const policy = policyOf(`{ run: [x, ${subject}], apply: [${subject}], attach: [${subject}] }`);
  expect(
    [run('mysql'), { what: 'apply' } as const, { what: 'attach' } as const].map((act) => may(policy, act)),
  ).toEqual([allowed, allowed, allowed]);
});

test('an empty role is of nobody but root', () => {
  expect(may(policyOf('{ run: [] }'), run('mysql'))).toBe(false);
  expect(may(policyOf('{ run: [ops] }', '{ run: [] }'), run('mysql'))).toBe(false);
});

test('what a deployment says takes the place of what the policy says, for it alone', () => {
  const policy = policyOf('{ run: [ops], break_glass: [dba] }', '{ run: [dba], break_glass: [ops] }');
  expect([run('mysql'), run('web'), run('unknown')].map((act) => may(policy, act))).toEqual([
    false,
    true,
    true,
  ]);
  expect([glass('mysql'), glass('web')].map((act) => may(policy, act))).toEqual([true, false]);
});

test('a run that names no deployment is of the only one there is', () => {
  const text =
    'version: 1\nservices: { s: {} }\nroles: { run: [ops] }\ndeployments: { s: { roles: { run: [dba] } } }';
  expect(may(parsePolicy([{ path: 'a', text }]).policy, run(null))).toBe(false);
});

test('an entry of every deployment must be allowed for each', () => {
  expect(may(policyOf('{ entries: [ops] }'), entries(null))).toBe(true);
  expect(may(policyOf('{ entries: [ops] }', '{ entries: [dba] }'), entries(null))).toBe(false);
  expect(may(policyOf('{ entries: [ops] }', '{ entries: [dba] }'), entries('web'))).toBe(true);
  expect(may(policyOf('{}', '{ entries: [ops] }', '{ entries: [ops] }'), entries(null))).toBe(false);
  expect(may(policyOf('{}', '{ entries: [ops] }'), entries('mysql'))).toBe(true);
});

test('why is told in words of the policy', () => {
  const policy = policyOf('{ run: [dba, "user:bob"], apply: [] }', '{ run: [ops] }');
  const why = (act: Act) => mayDo(policy, (subject) => alice.has(writtenSubject(subject)), act).why;
  expect(
    [run('web'), run('mysql'), { what: 'apply' } as const, { what: 'attach' } as const].map(why),
  ).toEqual([
    'roles.run names dba, user:bob',
    'roles.run of deployment mysql names ops',
    'roles.apply names nobody but root',
    'the policy has no roles.attach: only root may',
  ]);
});

test('everybody a policy names is listed once', () => {
  const policy = policyOf('{ run: [ops, "user:bob"], apply: ["group:ops"] }', '{ entries: [dba] }');
  expect(subjectsOf(policy).map(writtenSubject)).toEqual(['ops', 'user:bob', 'dba']);
  expect(subjectsOf(null)).toEqual([]);
});

test.each([
  ['ops', 'ops'],
  ['group:ops', 'ops'],
  ['user:alice', 'user:alice'],
  ['EXAMPLE\\domain admins', 'EXAMPLE\\domain admins'],
  ['ops@example.com', 'ops@example.com'],
  ['host$', 'host$'],
  ['Domänen-Admins', 'Domänen-Admins'],
  ['3rd-line', '3rd-line'],
  ['a', 'a'],
])('%j is read, and written %j', (text, written) => {
  expect(writtenSubject(readSubject(text) as Parameters<typeof writtenSubject>[0])).toBe(written);
});

test.each([
  ['%ops', 'ops'],
  ['@ops', 'ops'],
  ['user:@alice', 'user:alice'],
  ['ops ', 'ops'],
  ['1000', null],
  ['user:0', null],
  ['', null],
  ['user:', null],
  ['owner:alice', null],
  ['a,b', null],
  ['a\nb', null],
  ['*', null],
])('%j names nobody, and %j may be meant', (text, suggestion) => {
  expect(readSubject(text)).toMatchObject({ code: 'bad-role', suggestion });
});
