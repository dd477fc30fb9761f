import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Matcher } from '../../src/guard/matcher.ts';
import { cgroupOf, createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import { type Matched, patternsIn } from '../../src/policy/match.ts';
import { parsePolicy } from '../../src/policy/parse.ts';
import { until } from '../cli/harness.ts';

/** A cgroup that stands for the root of the tree. */
let root: string;
let told: string[];
let matcher: Matcher | null = null;
let made = 0;

beforeEach(() => {
  root = createCgroup(ownCgroup(), `acyclic-matcher-${process.pid}-${made++}`).path;
  told = [];
});
afterEach(async () => {
  matcher?.close();
  matcher = null;
  await until(() => removeCgroup(root), `${root} to be removed`);
});

const make = (...places: string[]) => {
  for (const place of places) mkdirSync(join(root, place), { recursive: true });
};
const remove = (place: string) => rmdirSync(join(root, place));

function patterns(match: Record<string, string>): readonly Matched[] {
  const deployments = Object.entries(match).map(([name, text]) => `  ${name}: { match: ${text} }\n`);
  const services = Object.keys(match).map((name) => `${name}: {}`);
  const text = `version: 1\nservices: { ${services.join(', ')} }\ndeployments:\n${deployments.join('')}`;
  const { policy, problems } = parsePolicy([{ path: 'a', text }]);
  expect(problems).toEqual([]);
  return patternsIn(policy);
}

/** `rescanMs`: by default nothing but the kernel's word is waited for. */
function start(match: Record<string, string>, rescanMs = 1_000_000, own = '/elsewhere'): Matcher {
  matcher = new Matcher({
    ...{ patterns: patterns(match), root, own, rescanMs },
    onMatch: ({ place }, { deployment }) => told.push(`${deployment} ${place}`),
    onGone: ({ place }, why) => told.push(`${why} ${place}`),
  });
  return matcher;
}

const tells = (...expected: string[]) =>
  until(() => told.length >= expected.length, expected.join(', ')).then(() => {
    expect(told).toEqual(expected);
    told.length = 0;
  });

const DEPLOY = '/system.slice/system-deploy\\x2dmysql.slice';
const MYSQL = { mysql: '{ units: ["deploy-mysql@*.service"] }' };

describe('a unit is matched', () => {
  test('that is there already', async () => {
    make(`${DEPLOY}/deploy-mysql@1.service`, '/system.slice/other.service');
    start(MYSQL);
    expect(told).toEqual([`mysql ${DEPLOY}/deploy-mysql@1.service`]);
  });

  test('when it is made, in a slice that is made with it, and each time it is made again', async () => {
    make('/system.slice');
    start(MYSQL);
    make(`${DEPLOY}/deploy-mysql@1.service`);
    await tells(`mysql ${DEPLOY}/deploy-mysql@1.service`);
    remove(`${DEPLOY}/deploy-mysql@1.service`);
    await tells(`removed ${DEPLOY}/deploy-mysql@1.service`);
    make(`${DEPLOY}/deploy-mysql@1.service`);
    await tells(`mysql ${DEPLOY}/deploy-mysql@1.service`);
    remove(`${DEPLOY}/deploy-mysql@1.service`);
    remove(DEPLOY);
    make(`${DEPLOY}/deploy-mysql@1.service`);
    await tells(`removed ${DEPLOY}/deploy-mysql@1.service`, `mysql ${DEPLOY}/deploy-mysql@1.service`);
  });

  test('anew where another cgroup took its place before it was looked at', async () => {
    start(MYSQL, 50);
    make('/system.slice/deploy-mysql@1.service');
    await tells('mysql /system.slice/deploy-mysql@1.service');
    remove('/system.slice/deploy-mysql@1.service');
    make('/system.slice/deploy-mysql@1.service');
    await tells('removed /system.slice/deploy-mysql@1.service', 'mysql /system.slice/deploy-mysql@1.service');
  });

  test('by the rescan, where the kernel told nothing', async () => {
    start({ mysql: '{ cgroups: ["/a/b"] }' });
    // The kernel's word waits until this test does.
    make('/a/b');
    matcher?.rescan();
    expect(told).toEqual(['mysql /a/b']);
    remove('/a/b');
    matcher?.rescan();
    expect(told).toEqual(['mysql /a/b', 'removed /a/b']);
  });

  test('not among those of a user, nor in a service', async () => {
    start({ mysql: '{ units: ["x.service"], cgroups: [/done] }' });
    make(
      '/user.slice/user-1.slice/user@1.service/app.slice/x.service',
      '/system.slice/y.service/x.service',
      '/done',
    );
    await tells('mysql /done');
  });
});

describe('a match in a match', () => {
  test('of the same deployment is one, of another it is its own', async () => {
    start({
      all: '{ slices: [deploy.slice] }',
      mysql: '{ units: ["deploy-mysql@*.service"], cgroups: ["/deploy.slice/deploy-mysql@1.service"] }',
    });
    make(
      '/deploy.slice/deploy-mysql@1.service',
      '/deploy.slice/deploy-web@1.service',
      '/deploy.slice/deploy.slice',
    );
    await tells('all /deploy.slice', 'mysql /deploy.slice/deploy-mysql@1.service');
    expect(matcher?.matched.map(({ by }) => by.deployment)).toEqual(['all', 'mysql']);
    remove('/deploy.slice/deploy.slice');
    remove('/deploy.slice/deploy-web@1.service');
    remove('/deploy.slice/deploy-mysql@1.service');
    remove('/deploy.slice');
    await tells('removed /deploy.slice/deploy-mysql@1.service', 'removed /deploy.slice');
  });
});

test('what holds Acyclic itself is not matched, and that is said', () => {
  make('/system.slice/x.service/y');
  start({ mysql: '{ cgroups: ["/system.slice/x.*"] }' }, 1_000_000, '/system.slice/x.service/y');
  expect([told, matcher?.troubles]).toEqual([
    [],
    ['/system.slice/x.service is not guarded: Acyclic itself is in it'],
  ]);
});

test('patterns are replaced: what goes on is not told again', async () => {
  make('/system.slice/a-1.service', '/system.slice/b-1.service', '/system.slice/c-1.service');
  start({ one: '{ units: ["a-*.service", "b-*.service"] }', two: '{ units: ["c-*.service"] }' });
  told.length = 0;
  matcher?.replace(
    patterns({ one: '{ units: ["a-*.service"] }', two: '{ units: ["b-*.service", "c-1.service"] }' }),
  );
  expect(told).toEqual(['unmatched /system.slice/b-1.service', 'two /system.slice/b-1.service']);
  told.length = 0;
  make('/system.slice/b-2.service');
  await tells('two /system.slice/b-2.service');
  matcher?.replace([]);
  expect(told.sort()).toEqual(
    ['a-1', 'b-1', 'b-2', 'c-1'].map((name) => `unmatched /system.slice/${name}.service`),
  );
  expect(matcher?.matched).toEqual([]);
});

test('many at once are all matched, and none is left in memory', async () => {
  start(MYSQL);
  const places = Array.from({ length: 200 }, (_, i) => `${DEPLOY}/deploy-mysql@${i}.service`);
  for (let round = 0; round < 3; round++) {
    make(...places);
    await until(() => matcher?.matched.length === 200, 'all to be matched');
    for (const place of places) remove(place);
    await until(() => matcher?.matched.length === 0, 'all to be gone');
  }
  expect(told.filter((line) => line.startsWith('mysql'))).toHaveLength(600);
  expect(told.filter((line) => line.startsWith('removed'))).toHaveLength(600);
});

test('its place is that of the processes in it', async () => {
  const child: ChildProcess = spawn('sleep', ['60']);
  try {
    make('/system.slice/deploy-mysql@1.service');
    start(MYSQL);
    const [{ cgroup } = { cgroup: { path: '', place: '' } }] = matcher?.matched ?? [];
    writeFileSync(join(cgroup.path, 'cgroup.procs'), String(child.pid));
    expect(cgroupOf(child.pid ?? 0).endsWith(cgroup.place)).toBe(true);
  } finally {
    child.kill('SIGKILL');
  }
});
