import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log } from '../../src/daemon/log.ts';
import { type Guard, MatchedCgroups } from '../../src/daemon/matched-cgroups.ts';
import { createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import { patternsIn } from '../../src/policy/match.ts';
import { parsePolicy } from '../../src/policy/parse.ts';
import { until } from '../cli/harness.ts';

/** A cgroup that stands for the root of the tree. */
let root: string;
let matched: MatchedCgroups;
let told: string[];
/** What guards wait for, and why one cannot be had. */
let gate: Promise<void>;
let fault: string | null;
let logged: string[];
let made = 0;

const note = (what: object, message: string) => {
  logged.push(`${message} ${JSON.stringify(what)}`);
};
const log: Log = { debug: note, info: note, warn: note, error: note, close: async () => {} };

beforeEach(() => {
  root = createCgroup(ownCgroup(), `acyclic-matched-${process.pid}-${made++}`).path;
  told = [];
  logged = [];
  gate = Promise.resolve();
  fault = null;
  matched = new MatchedCgroups({
    ...{ root, own: '/elsewhere', rescanMs: 1_000_000, retryMs: 20 },
    log,
    others: () => new Map([['/run', { run: 'other', deployment: 'mysql', mode: 'audit' }]]),
    async guard({ place }, { deployment }): Promise<Guard> {
      told.push(`asks ${place}`);
      await gate;
      if (fault) throw new Error(fault);
      told.push(`guards ${place}`);
      return { id: place, deployment, mode: 'enforce' };
    },
    async release(id) {
      told.push(`releases ${id}`);
    },
  });
  matched.replace(patterns('[x.service, y.service]'));
});
afterEach(async () => {
  await matched.close();
  await until(() => removeCgroup(root), `${root} to be removed`);
});

function patterns(units: string) {
  const text = `version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { match: { units: ${units} } } }`;
  return patternsIn(parsePolicy([{ path: 'a', text }]).policy);
}

const make = (place: string) => mkdirSync(join(root, place), { recursive: true });
const remove = (place: string) => rmdirSync(join(root, place));
const isGuarded = (place: string) => matched.guarded(place).guarded;
const X = '/system.slice/x.service';

test('what is matched is guarded, each time it is made, and is known as guarded only then', async () => {
  let open = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  make(X);
  await until(() => told.includes(`asks ${X}`), 'it to be matched');
  expect(matched.guarded(X)).toMatchObject({ guarded: false, matched: 'mysql', required: true, why: null });
  open();
  await until(() => isGuarded(X), 'it to be guarded');
  expect(matched.guarded(`${X}/.control`)).toMatchObject({ guarded: true, run: X, mode: 'enforce' });
  expect(isGuarded('/system.slice/other.service')).toBe(false);
  expect(matched.guarded('/run/inner')).toMatchObject({ guarded: true, run: 'other' });
  remove(X);
  await until(() => !isGuarded(X), 'it to be gone');
  make(X);
  await until(() => isGuarded(X), 'it to be guarded again');
  expect(told.filter((line) => line.startsWith('guards'))).toHaveLength(2);
  expect(told.filter((line) => line.startsWith('releases'))).toEqual([]);
});

test('a question about one that was just made finds it, before the kernel has told', () => {
  make(X);
  expect(matched.guarded(X)).toMatchObject({ guarded: false, matched: 'mysql' });
  expect(told).toEqual([`asks ${X}`]);
});

test('one that cannot be guarded is tried again, and why is told', async () => {
  fault = 'a foreign program is in the way';
  make(X);
  await until(() => matched.guarded(X).why === fault, 'it to be refused');
  expect(matched.troubles).toEqual([`${X} of mysql: ${fault}`]);
  fault = null;
  await until(() => isGuarded(X), 'it to be guarded');
  expect([matched.guarded(X).why, matched.troubles]).toEqual([null, []]);
});

test('one that is gone before it is guarded is not tried again', async () => {
  let open = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  fault = 'it was removed meanwhile';
  make(X);
  await until(() => told.includes(`asks ${X}`), 'it to be matched');
  remove(X);
  open();
  await until(
    () => logged.some((line) => line.includes('was gone before it was guarded')),
    'that to be told',
  );
  expect([matched.troubles, matched.guarded(X).why]).toEqual([[], null]);
  expect(told).toEqual([`asks ${X}`]);
});

test('one that the policy matches no more is released, also where its guard was under way', async () => {
  make(X);
  await until(() => isGuarded(X), 'it to be guarded');
  let open = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  make('/system.slice/y.service');
  await until(() => told.includes('asks /system.slice/y.service'), 'the other to be matched');
  matched.replace(patterns('[z.service]'));
  open();
  await until(() => told.filter((line) => line.startsWith('releases')).length === 2, 'both to be released');
  expect(told.filter((line) => line.startsWith('releases')).sort()).toEqual([
    `releases ${X}`,
    'releases /system.slice/y.service',
  ]);
  expect(matched.guarded(X)).toMatchObject({ guarded: false, matched: null });
});
