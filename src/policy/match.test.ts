import { describe, expect, test } from 'vitest';
import { canHold, matchOf, patternHolds, patternsIn, readCgroup, readSlice, readUnit } from './match.ts';
import { parsePolicy } from './parse.ts';
import type { CgroupPattern } from './policy.ts';

const unit = (text: string): CgroupPattern => ({ kind: 'unit', text });
const slice = (text: string): CgroupPattern => ({ kind: 'slice', text });
const cgroup = (text: string): CgroupPattern => ({ kind: 'cgroup', text });

test.each<[CgroupPattern, string, boolean]>([
  [
    unit('deploy-mysql@*.service'),
    '/system.slice/system-deploy\\x2dmysql.slice/deploy-mysql@1.service',
    true,
  ],
  [unit('deploy-mysql@*.service'), '/system.slice/deploy-mysql@a\\x2db.service', true],
  [unit('deploy-mysql@*.service'), '/deploy.slice/deploy-prod.slice/deploy-mysql@1.service', true],
  [unit('deploy-mysql@*.service'), '/system.slice/deploy-mysql.service', false],
  [unit('deploy-mysql@*.service'), '/system.slice/deploy-mysql@1.service/payload', false],
  [unit('deploy-mysql@*.service'), '/docker/system.slice/deploy-mysql@1.service', false],
  [
    unit('deploy-mysql@*.service'),
    '/user.slice/user-1000.slice/user@1000.service/app.slice/deploy-mysql@1.service',
    false,
  ],
  [unit('session-*.scope'), '/user.slice/user-1000.slice/session-3.scope', true],
  [unit('cpu.service'), '/system.slice/_cpu.service', true],
  [unit('_x.service'), '/system.slice/__x.service', true],
  [unit('x.service'), '/', false],
  [slice('deploy.slice'), '/deploy.slice', true],
  [slice('deploy-*.slice'), '/deploy.slice/deploy-prod.slice', true],
  [slice('deploy-*.slice'), '/deploy.slice', false],
  [slice('deploy.slice'), '/user.slice/user-1.slice/user@1.service/deploy.slice', false],
  [cgroup('/system.slice/foo-*'), '/system.slice/foo-1', true],
  [cgroup('/system.slice/foo-*'), '/system.slice/foo-1/bar', false],
  [cgroup('/system.slice/foo-*'), '/system.slice', false],
  [cgroup('/a/*/c'), '/a/b/c', true],
  [cgroup('/a/*/c'), '/a/b/b/c', false],
])('%j holds %s: %j', (pattern, place, holds) => expect(patternHolds(pattern, place)).toBe(holds));

test.each<[CgroupPattern, string, boolean]>([
  [unit('x.service'), '/', true],
  [unit('x.service'), '/system.slice/system-x.slice', true],
  [unit('x.service'), '/system.slice/y.service', false],
  [unit('x.service'), '/user.slice/user-1.slice/user@1.service', false],
  [cgroup('/a/b-*/c'), '/', true],
  [cgroup('/a/b-*/c'), '/a', true],
  [cgroup('/a/b-*/c'), '/a/b-1', true],
  [cgroup('/a/b-*/c'), '/a/b-1/c', false],
  [cgroup('/a/b-*/c'), '/b', false],
])('below %j can be found in %s: %j', (pattern, place, can) => expect(canHold(pattern, place)).toBe(can));

describe('a pattern that cannot be meant is a mistake', () => {
  test.each<[(text: string) => unknown, string, string | null]>([
    [readUnit, 'deploy-mysql', 'deploy-mysql.service'],
    [readUnit, 'deploy-mysql@.service', 'deploy-mysql@*.service'],
    [readUnit, 'deploy.slice', null],
    [readUnit, 'deploy.timer', null],
    [readUnit, 'deploy mysql.service', null],
    [readUnit, '/system.slice/deploy.service', 'deploy.service'],
    [readUnit, '', null],
    [readUnit, '*.service', null],
    [readUnit, '*', null],
    [readUnit, 'acyclic.service', null],
    [readUnit, 'd*.service', null],
    [readUnit, '*.scope', null],
    [readUnit, 'x'.repeat(600), null],
    [readSlice, 'deploy', 'deploy.slice'],
    [readSlice, 'system.slice', null],
    [readSlice, '*.slice', null],
    [readSlice, 'deploy.service', 'deploy.slice'],
    [readCgroup, 'system.slice/foo', '/system.slice/foo'],
    [readCgroup, '/sys/fs/cgroup/system.slice/foo-*', '/system.slice/foo-*'],
    [readCgroup, '/sys/fs/cgroup/unified/foo', '/foo'],
    [readCgroup, '/a//b/', '/a/b'],
    [readCgroup, '/a/../b', null],
    [readCgroup, '/a/**', '/a/*'],
    [readCgroup, '/', null],
    [readCgroup, '/*', null],
    [readCgroup, '/system.slice/*', null],
    [readCgroup, '/a/\u001b', null],
  ])('%o %j', (read, text, suggestion) =>
    expect(read(text)).toMatchObject({ code: 'bad-match', suggestion }),
  );
});

test('of several patterns the one that gives more of the name has a cgroup, then the first', () => {
  const text = `version: 1
services: { s: {}, t: {} }
deployments:
  s: { match: { units: ["deploy-*.service", "a-*.service"], cgroups: ["/system.slice/deploy-x.service"] } }
  t: { match: { units: ["deploy-mysql-*.service", "*-b.service"], required: false } }`;
  const patterns = patternsIn(parsePolicy([{ path: 'a', text }]).policy);
  const found = (place: string) => {
    const matched = matchOf(patterns, place);
    return matched && [matched.deployment, matched.pattern.text, matched.required];
  };
  expect(found('/system.slice/deploy-mysql-1.service')).toEqual(['t', 'deploy-mysql-*.service', false]);
  expect(found('/system.slice/deploy-web.service')).toEqual(['s', 'deploy-*.service', true]);
  expect(found('/system.slice/deploy-x.service')).toEqual(['s', '/system.slice/deploy-x.service', true]);
  expect(found('/system.slice/a-b.service')).toEqual(['s', 'a-*.service', true]);
  expect(found('/system.slice/other.service')).toBeNull();
  expect(matchOf(patternsIn(null), '/x')).toBeNull();
});
