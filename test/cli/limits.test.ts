import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findCgroup2 } from '../../src/kernel/mounts.ts';
import { acyclic, openPlace, type Place, remains } from './harness.ts';

/** A cgroup with a shell in it, from which no run can be limited on any host. Working limits: test/vm. */
let place: Place;
let policy: string;
const crowded = join(findCgroup2(), `acyclic-crowded-${process.pid}`);
beforeAll(() => {
  place = openPlace();
  policy = place.file(
    'policy.yaml',
    `version: 1
services: { mysql: { hosts: ["*.mysql.internal"] } }
deployments: { mysql: { limits: { memory: 64MiB } } }`,
  );
  mkdirSync(crowded);
});
afterAll(() => {
  rmdirSync(crowded);
  place.close();
});

const unified = readFileSync(join(findCgroup2(), 'cgroup.controllers'), 'utf8').includes('memory');
const WHY = unified
  ? /there are other processes \(sh\[\d+\]|does not pass the .* controllers? on/
  : /the cgroup v2 tree at \S+ lacks the .*controllers? \(bound to cgroup v1\)/;

function inCrowd(...args: readonly string[]) {
  const script = `echo $$ > ${crowded}/cgroup.procs; "$@"; exit $?`;
  return place.bare(['sh', '-c', script, 'sh', acyclic, ...args]);
}

test.each([
  ['--memory', ['--memory', '64MiB'], 'memory'],
  ['--cpu', ['--cpu', '50%'], 'cpu'],
  ['--tasks', ['--tasks', '64'], 'tasks'],
  ['all of them', ['--tasks', '64', '--cpu', '1%', '--memory', '1G'], 'cpu, memory and tasks'],
  ['the policy', ['-p', 'policy.yaml'], 'memory'],
])(
  'a limit by %s that cannot be had is 125 before the command starts, and changes nothing',
  (_, args, what) => {
    const control = readFileSync(join(crowded, 'cgroup.subtree_control'), 'utf8');
    const { status, stderr } = inCrowd('run', '--json', ...args, '--', 'touch', 'started');
    expect({ status, started: existsSync(join(place.directory, 'started')) }).toEqual({
      status: 125,
      started: false,
    });
    const { code, message } = JSON.parse(stderr);
    expect(code).toBe('no-limits');
    expect(message).toMatch(WHY);
    expect(message).toContain(`cannot limit ${what}: `);
    expect(message).toMatch(/; (leave limits out|start it alone)/);
    expect(readdirSync(crowded).filter((name) => name.startsWith('acyclic-'))).toEqual([]);
    expect(readFileSync(join(crowded, 'cgroup.subtree_control'), 'utf8')).toBe(control);
    expect(remains()).toEqual([]);
  },
);

test('--break-glass runs it without limits, loudly and guarded', () => {
  const args = ['--memory', '64MiB', '--break-glass', 'INC-1', '--report', 'report'];
  const { status, stderr, stdout } = inCrowd('run', ...args, '--', 'echo', 'ran');
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'ran\n' });
  expect(stderr).toMatch(/acyclic: UNLIMITED: .*no limits can be had\n {2}cannot limit memory: /);
  expect(place.report('report').at(-1)).toMatchObject({
    mode: 'audit',
    limits: { cpu: null, memory: null, tasks: null, in_force: true },
  });
});

test('a run without limits is in the summary as such', () => {
  const { status } = inCrowd('run', '--report', 'report', '--', 'true');
  expect(status).toBe(0);
  expect(place.report('report').at(-1)).toMatchObject({
    limits: { cpu: null, memory: null, tasks: null, in_force: true },
  });
});

test('doctor says why, and what would help', () => {
  const { stdout } = inCrowd('doctor', '--json');
  const found = JSON.parse(stdout).findings.find(({ name }: { name: string }) => name === 'limits');
  expect(found).toMatchObject({ state: 'optional', detail: expect.stringMatching(WHY) });
  expect(found.remedy).toBeTruthy();
});

test('policy show has the limits, and run takes them from there', () => {
  const { stdout } = place.run(['policy', 'show', '-p', policy]);
  expect(stdout).toContain('  limits   memory 64MiB\n');
  const shown = JSON.parse(place.run(['policy', 'show', '-p', policy, '--json']).stdout);
  expect(shown.limits).toEqual({ cpu: null, memory: 64 * 2 ** 20, tasks: null });
});
