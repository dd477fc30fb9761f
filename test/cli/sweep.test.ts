import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPlace, type Place, STRICT } from './harness.ts';

const ID = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const entry = `/run/acyclic/runs/${ID}.json`;
const pins = `/sys/fs/bpf/acyclic/v3/${ID}`;
let place: Place;
beforeAll(() => {
  place = openPlace();
});
afterAll(() => {
  rmSync(entry, { force: true });
  rmSync(pins, { recursive: true, force: true });
  place.close();
});

test('what cannot be cleared is told, and is in no run’s way', () => {
  const policy = place.file('policy.yaml', STRICT);
  const cgroup = place.bare(['findmnt', '-n', '-t', 'cgroup2', '-o', 'TARGET']).stdout.split('\n')[0];
  const dead = { pid: 4_194_303, start: '1' };
  const run = {
    v: 1,
    id: ID,
    engine: dead,
    command: dead,
    cgroup: `${cgroup}/gone`,
    origin: `${cgroup}`,
    leftover: 'release',
  };
  mkdirSync(`${pins}/not-a-pin`, { recursive: true });
  mkdirSync('/run/acyclic/runs', { recursive: true, mode: 0o700 });
  writeFileSync(entry, JSON.stringify(run));
  const { status, stderr } = place.run(['run', '-p', policy, '--', 'true']);
  expect(status).toBe(0);
  expect(stderr).toMatch(new RegExp(`run ${ID} lost Acyclic, and its cgroup cannot be cleared`));
});

test('an entry that is no entry is passed over', () => {
  rmSync(pins, { recursive: true, force: true });
  writeFileSync(entry, '{"v":1,"id":"../../etc"}');
  expect(place.run(['run', '-p', place.file('policy.yaml', STRICT), '--', 'true']).status).toBe(0);
});

test('what a run of an earlier version left pinned is cleared with it', () => {
  const old = `/sys/fs/bpf/acyclic/v1/${ID}`;
  mkdirSync(old, { recursive: true });
  const dead = { pid: 4_194_303, start: '1' };
  const cgroup = place.bare(['findmnt', '-n', '-t', 'cgroup2', '-o', 'TARGET']).stdout.split('\n')[0];
  const where = { cgroup: `${cgroup}/acyclic-${ID}`, origin: `${cgroup}`, leftover: 'release' };
  writeFileSync(entry, JSON.stringify({ v: 1, id: ID, engine: dead, command: dead, ...where }));
  expect(place.run(['run', '-p', place.file('policy.yaml', STRICT), '--', 'true']).status).toBe(0);
  expect([existsSync(old), existsSync(entry)]).toEqual([false, false]);
});
