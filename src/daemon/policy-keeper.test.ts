import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { LoadedPolicy } from '../guard/policy-files.ts';
import { createLog } from './log.ts';
import type { Change } from './policy-event.ts';
import { PolicyKeeper } from './policy-keeper.ts';

const ROOT = { uid: 0, pid: 1, comm: 'test' };
const log = createLog({ level: 'silent' });
/** A policy that allows one host. */
const allowing = (host: string) =>
  `version: 1\nservices: { mysql: { hosts: [db.internal] } }\ndeployments: { mysql: { allow: [{ host: ${host} }] } }\n`;
const OTHER = 'version: 1\nservices: { other: { hosts: [o.example] } }\n';
const file = (text: string, path = 'acyclic.yaml') => ({ path, text });

let place: string;
let policy: string;
let state: string;
let keepers: PolicyKeeper[];
let swapped: string[];
let recorded: Change[];
/** What has come to disk of it. */
let onDisk: () => Promise<unknown>;
/** What the run's tables say; null: there is room. */
let full: string | null;
/** All that the trail was given, which takes each id once. */
let told: { readonly change: Change; readonly id: string }[];

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'acyclic-keeper-'));
  policy = join(place, 'etc');
  state = join(place, 'state');
  mkdirSync(policy);
  [keepers, swapped, recorded, told, full] = [[], [], [], [], null];
  onDisk = async () => {};
});
afterEach(async () => {
  for (const keeper of keepers) await keeper.close();
  rmSync(place, { recursive: true });
});

function open(path = policy): PolicyKeeper {
  const keeper = new PolicyKeeper({
    ...{ policy: path, state, log, recorded: () => onDisk() },
    record: (change, id) => {
      if (!told.some((before) => before.id === id)) recorded.push(change);
      told.push({ change, id });
    },
    change: (loaded: LoadedPolicy | null) => {
      if (full !== null) throw new Error(full);
      swapped.push(loaded?.id ?? '');
      return 3;
    },
  });
  keepers.push(keeper);
  return keeper;
}

const put = (text: string, path = 'acyclic.yaml') => writeFileSync(join(policy, path), text);
const get = (path = 'acyclic.yaml') => readFileSync(join(policy, path), 'utf8');

describe('at the start', () => {
  test('no policy is none; there is no version of it', () => {
    const keeper = open();
    expect(keeper.loaded).toBeNull();
    expect(keeper.answer()).toEqual({ id: null, source: null, applied: null, files: [] });
    expect(keeper.history()).toEqual({ versions: [] });
    expect(recorded).toEqual([]);
  });

  test('what the directory holds is in force, and a version; the same again is no other one', () => {
    put(allowing('a.example'));
    const first = open();
    expect(first.history().versions).toEqual([
      expect.objectContaining({ id: first.loaded?.id, inForce: true, by: 'start', who: null }),
    ]);
    expect(recorded).toEqual([
      expect.objectContaining({ what: 'start', policy: first.loaded?.id, before: null }),
    ]);
    expect(open().history()).toEqual(first.history());
    expect(recorded).toHaveLength(1);
  });

  test('a directory that was changed meanwhile is a version of its own, with what it means otherwise', () => {
    put(allowing('a.example'));
    open();
    put(allowing('b.example'));
    const { versions } = open().history();
    expect(versions).toHaveLength(2);
    expect(versions[0]?.changes.join('\n')).toMatch(/allowed now +b\.example/);
  });

  test.each([
    ['does not load', () => put('version: 1\nnonsense: true\n')],
    ['is empty', () => rmSync(join(policy, 'acyclic.yaml'))],
    ['is gone', () => rmSync(policy, { recursive: true })],
  ])('the last good one stays where the directory %s', (_, spoil) => {
    put(allowing('a.example'));
    const { id } = open().loaded ?? {};
    spoil();
    const keeper = open();
    expect(keeper.loaded?.id).toBe(id);
    expect(keeper.errors).toBe(1);
    expect(keeper.degraded).toEqual([expect.stringContaining('the last good policy stays in force')]);
  });

  test('one that does not load, and none before it, is an error: nothing is quietly observed', () => {
    put('version: 1\nnonsense: true\n');
    expect(() => open()).toThrow(/nonsense/);
  });
});

describe('apply', () => {
  test('is in force, in the directory, in the history and on record; what is not of it is gone', async () => {
    put(allowing('a.example'));
    mkdirSync(join(policy, 'services'));
    put(OTHER, 'services/other.yaml');
    put('kept', 'README');
    const keeper = open();
    const before = keeper.loaded?.id;
    const applied = await keeper.apply([file(allowing('b.example'))], ROOT, 'OPS-1');
    expect(applied).toMatchObject({ before, changed: true, runs: 3, warnings: [] });
    expect(applied.changes.join('\n')).toMatch(/allowed now +b\.example(.|\n)*service other: removed/);
    expect(swapped).toEqual([applied.id]);
    expect(get()).toBe(allowing('b.example'));
    expect(readdirSync(join(policy, 'services'))).toEqual([]);
    expect(get('README')).toBe('kept');
    expect(
      keeper.history().versions.map(({ id, inForce, by, who, reason }) => ({ id, inForce, by, who, reason })),
    ).toEqual([
      { id: applied.id, inForce: true, by: 'apply', who: ROOT, reason: 'OPS-1' },
      { id: before, inForce: false, by: 'start', who: null, reason: null },
    ]);
    expect(recorded.at(-1)).toMatchObject({
      what: 'apply',
      who: ROOT,
      reason: 'OPS-1',
      before,
      policy: applied.id,
    });
    expect(open().loaded?.id).toBe(applied.id);
  });

  test('of the one in force changes nothing, but for a directory that differs', async () => {
    put(allowing('a.example'));
    const keeper = open();
    expect(await keeper.apply([file(allowing('a.example'))], ROOT, null)).toMatchObject({
      changed: false,
      runs: 0,
    });
    put('broken: [');
    const again = await keeper.apply([file(allowing('a.example'))], ROOT, null);
    expect(again).toMatchObject({ changed: false, warnings: [expect.stringContaining('did not hold')] });
    expect(get()).toBe(allowing('a.example'));
    expect([swapped, keeper.history().versions.length]).toEqual([[], 1]);
  });

  test('of a policy with a mistake, or one there is no room for, changes nothing at all', async () => {
    put(allowing('a.example'));
    put(OTHER, 'more.yaml');
    const keeper = open();
    const before = [keeper.loaded?.id, keeper.history(), get(), get('more.yaml')];
    await expect(keeper.apply([file('version: 1\nnonsense: 1\n')], ROOT, null)).rejects.toMatchObject({
      code: 'policy',
    });
    full = 'the tables are full';
    await expect(keeper.apply([file(allowing('b.example'))], ROOT, null)).rejects.toThrow(full);
    expect([keeper.loaded?.id, keeper.history(), get(), get('more.yaml')]).toEqual(before);
    expect(open().loaded?.id).toBe(before[0]);
    expect(recorded).toHaveLength(1);
  });

  test('to a single file keeps its name, and takes one file only', async () => {
    put(allowing('a.example'));
    const keeper = open(join(policy, 'acyclic.yaml'));
    await keeper.apply([file(allowing('b.example'), 'new.yaml')], ROOT, null);
    expect(get()).toBe(allowing('b.example'));
    const two = [file(allowing('b.example'), 'a.yaml'), file(OTHER, 'b.yaml')];
    await expect(keeper.apply(two, ROOT, null)).rejects.toMatchObject({ code: 'conflict' });
  });
});

test('what a daemon that was killed may not have on record yet is recorded by the next, under the same id', async () => {
  put(allowing('a.example'));
  const keeper = open();
  // Its start is on record by then.
  await keeper.reload(ROOT);
  const { promise, resolve } = Promise.withResolvers<void>();
  onDisk = () => promise;
  const applying = keeper.apply([file(allowing('b.example'))], ROOT, 'OPS-1');
  await vi.waitUntil(() => told.length === 2);
  const next = open();
  expect(told).toHaveLength(3);
  expect(told[2]).toEqual(told[1]);
  expect(next.history().versions[0]).toMatchObject({ inForce: true, by: 'apply', reason: 'OPS-1' });
  resolve();
  const { changes } = await applying;
  expect(told[2]?.change.changes).toEqual(changes);
  await Promise.all(keepers.map((each) => each.close()));
  open();
  expect(told).toHaveLength(3);
});

describe('rollback', () => {
  test('is to the one before, and back; or to the one that is named', async () => {
    put(allowing('a.example'));
    const keeper = open();
    const ids = [keeper.loaded?.id ?? ''];
    for (const host of ['b.example', 'c.example'])
      ids.push((await keeper.apply([file(allowing(host))], ROOT, null)).id);
    const [a = '', b = '', c = ''] = ids;
    expect(await keeper.rollback(null, ROOT, 'too strict')).toMatchObject({
      id: b,
      before: c,
      changed: true,
    });
    expect(get()).toBe(allowing('b.example'));
    expect(await keeper.rollback(null, ROOT, null)).toMatchObject({ id: c });
    expect(await keeper.rollback(a.slice(0, 5), ROOT, null)).toMatchObject({ id: a });
    expect(keeper.history().versions.map(({ id, by }) => `${by} ${id}`)).toEqual([
      ...[`rollback ${a}`, `rollback ${c}`, `rollback ${b}`, `apply ${c}`, `apply ${b}`, `start ${a}`],
    ]);
    await expect(keeper.rollback('00000000', ROOT, null)).rejects.toMatchObject({ code: 'not-found' });
  });

  test('with nothing before is refused', async () => {
    put(allowing('a.example'));
    await expect(open().rollback(null, ROOT, null)).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('the watch', () => {
  const quiet = { timeout: 10_000 };

  test('follows an editor that renames, tells a mistake once, and follows what is right again', async () => {
    put(allowing('a.example'));
    const keeper = open();
    keeper.watch();
    writeFileSync(join(policy, '.acyclic.yaml.swp'), allowing('b.example'));
    renameSync(join(policy, '.acyclic.yaml.swp'), join(policy, 'acyclic.yaml'));
    await vi.waitUntil(() => swapped.length === 1, quiet);
    expect(keeper.history().versions[0]).toMatchObject({ by: 'files', who: null, inForce: true });
    put('nonsense: [');
    await vi.waitUntil(() => keeper.errors === 1, quiet);
    expect(keeper.degraded).toHaveLength(1);
    expect(keeper.loaded?.id).toBe(swapped[0]);
    put(allowing('c.example'));
    await vi.waitUntil(() => swapped.length === 2, quiet);
    expect([keeper.errors, keeper.degraded]).toEqual([1, []]);
  });

  test('does not see an apply as a change, and sees a directory that is put in place of another', async () => {
    put(allowing('a.example'));
    const keeper = open();
    keeper.watch();
    const { id } = await keeper.apply([file(allowing('b.example'))], ROOT, null);
    const next = join(place, 'next');
    mkdirSync(join(next, 'deployments'), { recursive: true });
    writeFileSync(join(next, 'deployments/mysql.yaml'), allowing('c.example'));
    renameSync(policy, join(place, 'old'));
    renameSync(next, policy);
    await vi.waitUntil(() => swapped.length === 2, quiet);
    expect(keeper.history().versions.map(({ by }) => by)).toEqual(['files', 'apply', 'start']);
    expect(swapped[0]).toBe(id);
  });

  test('is not put off by what goes on beside the policy without end', async () => {
    put(allowing('a.example'));
    open().watch();
    const noise = setInterval(() => writeFileSync(join(place, 'noise'), ''), 50);
    onTestFinished(() => clearInterval(noise));
    put(allowing('b.example'));
    await vi.waitUntil(() => swapped.length === 1, quiet);
  });

  test('reload reads the directory, or says why not', async () => {
    put(allowing('a.example'));
    const keeper = open();
    expect(await keeper.reload(ROOT)).toMatchObject({ changed: false });
    put(allowing('b.example'));
    expect(await keeper.reload(ROOT)).toMatchObject({ changed: true, runs: 3 });
    put('nonsense: [');
    await expect(keeper.reload(ROOT)).rejects.toMatchObject({ code: 'policy' });
    expect([keeper.errors, keeper.loaded?.id]).toEqual([1, swapped[0]]);
  });
});

test('the history is bounded, and keeps the one in force', async () => {
  put(allowing('a.example'));
  const keeper = open();
  for (let i = 0; i < 110; i++) await keeper.apply([file(allowing(`h${i}.example`))], ROOT, null);
  const { versions } = open().history();
  expect(versions).toHaveLength(100);
  expect(versions[0]).toMatchObject({ inForce: true, id: swapped.at(-1) });
});
