import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parsePolicy } from '../policy/parse.ts';
import { Entries } from './entries.ts';
import { createLog } from './log.ts';
import type { Change } from './policy-event.ts';

const ROOT = { uid: 0, pid: 1, comm: 'test' };
const log = createLog({ level: 'silent' });
const HOUR = 3_600_000;
const text =
  'version: 1\nservices: { mysql: { hosts: [a.b] }, mirror: { hosts: [m.b] } }\ndeployments: { mysql: {} }\n';
const { policy } = parsePolicy([{ path: 'p', text }]);

let state: string;
let all: Entries[];
let changes: string[][];
let recorded: Change[];
/** Of what was recorded. */
let ids: string[];
let onDisk: Promise<void>;
let full: string | null;
let now: { wall: number; steady: number };

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'acyclic-entries-'));
  [all, changes, recorded, ids, full] = [[], [], [], [], null];
  onDisk = Promise.resolve();
  now = { wall: Date.parse('2026-11-23T12:00:00Z'), steady: 0 };
});
afterEach(async () => {
  for (const entries of all) await entries.close();
  rmSync(state, { recursive: true });
});

function open(clocks: 'set' | 'real' = 'set'): Entries {
  const entries = new Entries({
    ...{ state, log, recorded: () => onDisk },
    record: (change, id) => {
      recorded.push(change);
      ids.push(id);
    },
    policy: () => policy && { id: '3f9c2a1', policy },
    change: (live) => {
      if (full !== null) throw new Error(full);
      changes.push(live.map(({ verdict, dest }) => `${verdict} ${dest.text}`));
    },
    ...(clocks === 'set' ? { clocks: { wall: () => now.wall, steady: () => now.steady } } : {}),
  });
  all.push(entries);
  return entries;
}

const asked = { verdict: 'allow', destination: 'github.com:443', seconds: 7200, reason: 'OPS-1' } as const;
const pass = (ms: number) => {
  now.wall += ms;
  now.steady += ms;
};

test('an entry is in force, on record, and there after a restart', async () => {
  const entries = open();
  const entry = await entries.create({ ...asked, deployment: 'mysql' }, ROOT);
  expect(entry).toMatchObject({
    ...{ verdict: 'allow', destination: 'github.com:443', deployment: 'mysql', reason: 'OPS-1', who: ROOT },
    ...{ created: '2026-11-23T12:00:00.000Z', until: '2026-11-23T14:00:00.000Z' },
  });
  expect(changes).toEqual([['allow github.com:443']]);
  expect(recorded).toEqual([
    expect.objectContaining({ what: 'entry-made', who: ROOT, reason: 'OPS-1', deployment: 'mysql' }),
  ]);
  pass(HOUR);
  const again = open();
  expect(again.list()).toEqual([entry]);
  expect(again.live()).toEqual([expect.objectContaining({ owner: 'root', until: entry.until })]);
});

test('what a daemon that was killed may not have on record yet is recorded again, under the same id', async () => {
  const { id } = await open().create(asked, ROOT);
  open().start();
  expect(recorded.map(({ what }) => what)).toEqual(['entry-made']);
  const entries = open();
  const { promise, resolve } = Promise.withResolvers<void>();
  onDisk = promise;
  const [made, removed] = [entries.create(asked, ROOT), entries.remove(id, ROOT)];
  await vi.waitUntil(() => recorded.length === 2);
  open();
  expect(recorded.map(({ what }) => what)).toEqual(['entry-made', 'entry-made', 'entry-made']);
  expect(ids[2]).toBe(ids[1]);
  resolve();
  await Promise.all([made, removed]);
  expect(recorded.at(-1)).toMatchObject({ what: 'entry-removed' });
  open();
  expect(recorded).toHaveLength(4);
});

test('taken back, it is in force no more; there is no such entry then', async () => {
  const entries = open();
  const { id } = await entries.create(asked, ROOT);
  await entries.remove(id, ROOT);
  expect([entries.list(), changes.at(-1), open().list()]).toEqual([[], [], []]);
  expect(recorded.at(-1)).toMatchObject({ what: 'entry-removed', who: ROOT });
  await expect(entries.remove(id, ROOT)).rejects.toMatchObject({ code: 'not-found' });
});

describe('it lapses', () => {
  test('by itself, with whoever made it on record', async () => {
    const entries = open('real');
    entries.start();
    await entries.create({ ...asked, seconds: 1 }, ROOT);
    await entries.create({ ...asked, destination: 'b.example' }, ROOT);
    await vi.waitUntil(() => changes.length === 3, { timeout: 10_000 });
    expect(changes.at(-1)).toEqual(['allow b.example']);
    expect(recorded.at(-1)).toMatchObject({
      ...{ what: 'entry-lapsed', who: null },
      changes: [expect.stringMatching(/^allow github\.com:443 until .*, by root$/)],
    });
  });

  test('while no daemon runs', async () => {
    await open().create(asked, ROOT);
    pass(3 * HOUR);
    expect(open().list()).toEqual([]);
    expect(recorded.at(-1)).toMatchObject({ what: 'entry-lapsed' });
    expect(JSON.parse(readFileSync(join(state, 'entries.json'), 'utf8'))).toMatchObject({
      v: 1,
      entries: [],
    });
  });

  test.each([
    ['the clock is set back, as much time having gone by', -HOUR, 2 * HOUR, 0],
    ['the clock is set on', 3 * HOUR, 0, 0],
    ['neither is so', HOUR, HOUR, 1],
  ])('or not: %s', async (_, wall, steady, left) => {
    const entries = open();
    await entries.create(asked, ROOT);
    now.wall += wall;
    now.steady += steady;
    entries.start();
    await vi.waitUntil(() => entries.list().length === left, { timeout: 5000 });
  });

  test('no later than it was made for, if the clock was set back over a restart', async () => {
    await open().create(asked, ROOT);
    now.wall -= 24 * HOUR;
    const entries = open();
    now.steady += 2 * HOUR;
    entries.start();
    await vi.waitUntil(() => entries.list().length === 0, { timeout: 5000 });
  });

  test('even where runs cannot be told yet, which is said and tried again', async () => {
    const entries = open('real');
    entries.start();
    await entries.create({ ...asked, seconds: 1 }, ROOT);
    full = 'the tables are full';
    await vi.waitUntil(() => entries.degraded.length > 0, { timeout: 10_000 });
    expect(entries.list()).toEqual([]);
    full = null;
    await entries.create({ ...asked, destination: 'b.example' }, ROOT);
    expect(entries.degraded).toEqual([]);
  });
});

describe('refused, with nothing changed, is', () => {
  test.each([
    [{ destination: 'https://github.com/x' }, /URL/, 'did you mean github.com?'],
    [{ destination: 'service:miror' }, /no service miror/, 'did you mean service:mirror?'],
    [{ deployment: 'mysq' }, /no deployment mysq/, 'did you mean mysql?'],
  ])('%j', async (change, message, remedy) => {
    const entries = open();
    const refused = entries.create({ ...asked, ...change }, ROOT);
    await expect(refused).rejects.toMatchObject({
      code: 'bad-request',
      message: expect.stringMatching(message),
      remedy,
    });
    expect([entries.list(), changes, recorded]).toEqual([[], [], []]);
  });

  test('what there is no room for', async () => {
    const entries = open();
    await entries.create(asked, ROOT);
    full = 'the tables are full';
    await expect(entries.create({ ...asked, destination: 'b.example' }, ROOT)).rejects.toThrow(full);
    await expect(entries.remove(entries.list()[0]?.id ?? '', ROOT)).rejects.toThrow(full);
    expect(entries.list()).toHaveLength(1);
    expect(open().list()).toEqual(entries.list());
  });

  test('one beyond the 256th', async () => {
    const entries = open();
    for (let i = 0; i < 256; i++) await entries.create({ ...asked, destination: `h${i}.example` }, ROOT);
    await expect(entries.create(asked, ROOT)).rejects.toMatchObject({ code: 'conflict' });
  });
});

test('a file that is damaged is an error: what was denied is not quietly let through', () => {
  writeFileSync(join(state, 'entries.json'), '{');
  expect(() => open()).toThrow(/damaged/);
});

test('what an entry names and a policy does not have is told', async () => {
  const entries = open();
  await entries.create({ ...asked, destination: 'service:mirror' }, ROOT);
  const without = parsePolicy([
    { path: 'p', text: 'version: 1\nservices: { x: { hosts: [a] } }\ndeployments: { x: {} }\n' },
  ]);
  expect(without.policy && entries.doubts(without.policy)).toEqual([
    'the live entry allow service:mirror holds nothing: there is no service mirror',
  ]);
});
