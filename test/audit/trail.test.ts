import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeLine } from '../../src/audit/line.ts';
import { TrailReader } from '../../src/audit/reader.ts';
import { LIMITS } from '../../src/audit/retention.ts';
import { findRun } from '../../src/audit/runs.ts';
import { spoolDirectories, waitingIn } from '../../src/audit/spool.ts';
import { STORE_FILE } from '../../src/audit/store.ts';
import { AuditTrail, type TrailEnd } from '../../src/audit/trail.ts';
import { type Notice, Writer } from '../../src/audit/writer.ts';
import { RUN, sampleEvent, sampleId, sampleStart, sampleSummary } from './sample-events.ts';

const PROGRAM = join(import.meta.dirname, 'recorder-program.ts');

let place: string;
let directory: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'acyclic-trail-'));
  directory = join(place, 'state');
});
afterEach(() => {
  for (const spool of spoolDirectories(directory)) rmSync(spool, { recursive: true, force: true });
  rmSync(place, { recursive: true });
});

/** A trail in this process, and what was told of it. */
function openTrail(): { trail: AuditTrail; told: Notice[] } {
  const told: Notice[] = [];
  return { trail: new AuditTrail({ directory, onNotice: (notice) => told.push(notice) }), told };
}

async function record(numbers: readonly number[]): Promise<{ end: TrailEnd; told: Notice[] }> {
  const { trail, told } = openTrail();
  for (const number of numbers) trail.record(sampleEvent(number));
  return { end: await trail.close(), told };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** Ids of all events in the store, which must be sound. */
function stored(): string[] {
  const db = new DatabaseSync(join(directory, STORE_FILE));
  expect(db.prepare('PRAGMA integrity_check').all()).toMatchObject([{ integrity_check: 'ok' }]);
  db.close();
  const reader = new TrailReader(directory);
  const ids = [...reader.events({})].map(({ id }) => id);
  reader.close();
  return ids;
}

const spooled = () => waitingIn(spoolDirectories(directory));
const sorted = (ids: readonly string[]) => [...ids].sort();
const idsOf = (numbers: readonly number[]) => numbers.map((number) => sampleId(number));

/** A file system of its own under the state directory. */
async function onDisk<T>(options: string, act: (mount: (options: string) => void) => Promise<T>): Promise<T> {
  mkdirSync(directory);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=700,${options}`, 'none', directory]);
  try {
    return await act((more) => execFileSync('mount', ['-o', `remount,${more}`, directory]));
  } finally {
    execFileSync('umount', ['-l', directory]);
  }
}

function start(...args: string[]): { child: ChildProcess; lines: () => string[]; ended: Promise<unknown> } {
  const flags = ['--disable-warning=ExperimentalWarning', PROGRAM, directory, ...args];
  const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  return { child, lines: () => output.split('\n').slice(0, -1), ended: once(child, 'close') };
}

const acknowledged = (lines: readonly string[]) =>
  Number(lines.findLast((line) => line.startsWith('acknowledged'))?.split(' ')[1] ?? 0);

describe('what is acknowledged is on disk', () => {
  test('though the recorder is killed at any point, over and over', async () => {
    let first = 0;
    const promised: number[] = [];
    for (let round = 0; round < 12; round++) {
      const { child, lines, ended } = start(RUN, String(first));
      const patience = performance.now() + 20_000;
      while (acknowledged(lines()) <= first && performance.now() < patience)
        await new Promise((resolve) => setTimeout(resolve, 5));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 120));
      child.kill('SIGKILL');
      await ended;
      const upTo = acknowledged(lines());
      expect(upTo).toBeGreaterThan(first);
      promised.push(...range(first, upTo));
      first = upTo + 10_000;
    }
    const there = new Set(stored());
    expect(idsOf(promised).filter((id) => !there.has(id))).toEqual([]);
    const { end } = await record([9_999_999]);
    expect(end).toEqual({ lost: 0, spooled: 0, file: null, fault: null });
  }, 120_000);

  test('by several recorders that begin at once, while others read', async () => {
    const runs = range(0, 5).map((i) => sampleId(i, '01RVNRVN'));
    const children = runs.map((run, i) => start(run, String(i * 10_000), '3000'));
    let reads = 0;
    let open = true;
    const reading = (async () => {
      while (open) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (!existsSync(join(directory, STORE_FILE))) continue;
        try {
          const reader = new TrailReader(directory);
          for (const event of reader.events({ verdict: 'deny' }, 100)) expect(event.run).toMatch(/^01RVN/);
          reader.close();
          reads++;
        } catch (error) {
          expect(error).toMatchObject({ code: 'no-store' });
        }
      }
    })();
    await Promise.all(children.map(({ ended }) => ended));
    open = false;
    await reading;
    for (const { lines } of children)
      expect(JSON.parse(lines().at(-1) ?? '')).toEqual({ lost: 0, spooled: 0, file: null, fault: null });
    expect(children.flatMap(({ lines }) => lines()).filter((line) => line.includes('kind'))).toEqual([]);
    expect(reads).toBeGreaterThan(3);
    expect(sorted(stored())).toEqual(
      sorted(runs.flatMap((_, i) => idsOf(range(i * 10_000, i * 10_000 + 3000)))),
    );
    const reader = new TrailReader(directory);
    for (const run of runs)
      expect(findRun(reader, run)).toMatchObject({ events: 3000, calls: 3000, denials: 1000 });
    reader.close();
  }, 60_000);
});

describe('when the store cannot be written', () => {
  test(
    'because its disk is full: records wait elsewhere, and come in when there is room',
    () =>
      onDisk('size=600k', async (remount) => {
        const full = await record(range(0, 3000));
        expect(full.told).toMatchObject([
          { kind: 'spooling', reason: `the disk of ${directory} is full`, remedy: 'make room there' },
        ]);
        expect(full.end.lost).toBe(0);
        expect(full.end.spooled).toBeGreaterThan(0);
        expect(full.end.file).toMatch(/^\/run\/acyclic\/spool\//);
        expect(stored().length).toBeLessThan(3000);
        remount('size=32m');
        const { end, told } = await record([5000]);
        expect(told).toEqual([{ kind: 'recovered', lines: expect.any(Number) }]);
        expect(end).toEqual({ lost: 0, spooled: 0, file: null, fault: null });
        expect(sorted(stored())).toEqual(sorted(idsOf([...range(0, 3000), 5000])));
        expect(spooled().files).toEqual([]);
      }),
    60_000,
  );

  test('because its disk is read-only: it can still be read', () =>
    onDisk('size=32m', async (remount) => {
      await record(range(0, 100));
      remount('ro');
      const { end, told } = await record(range(100, 200));
      expect(told).toMatchObject([{ kind: 'spooling', reason: `${directory} is read-only` }]);
      expect(end).toMatchObject({ lost: 0, spooled: 100 });
      const reader = new TrailReader(directory);
      expect([...reader.events({})]).toHaveLength(100);
      reader.close();
      remount('rw');
      await record([]);
      expect(sorted(stored())).toEqual(sorted(idsOf(range(0, 200))));
    }));

  test('because another process holds it: whoever records goes on, and it comes in in the same run', async () => {
    await record([0]);
    const holder = new DatabaseSync(join(directory, STORE_FILE));
    holder.exec('BEGIN IMMEDIATE');
    const { trail, told } = openTrail();
    let [longest, last] = [0, performance.now()];
    const ticking = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    for (const number of range(1, 500)) trail.record(sampleEvent(number));
    expect(await trail.flushed()).toBe(true);
    clearInterval(ticking);
    expect(longest).toBeLessThan(500);
    expect(told).toMatchObject([
      { kind: 'spooling', reason: expect.stringContaining('another process holds') },
    ]);
    expect(spooled().files).toHaveLength(1);
    holder.exec('COMMIT');
    holder.close();
    expect(await trail.close()).toEqual({ lost: 0, spooled: 0, file: null, fault: null });
    expect(told.at(-1)).toEqual({ kind: 'recovered', lines: 499 });
    expect(sorted(stored())).toEqual(sorted(idsOf(range(0, 500))));
    expect(spooled().files).toEqual([]);
  });

  test('because it is damaged: that is said, and what was recorded comes into a new one', async () => {
    await record(range(0, 100));
    writeFileSync(
      join(directory, STORE_FILE),
      'not a database at all, but a text that is long enough'.repeat(100),
    );
    const { end, told } = await record(range(100, 110));
    expect(told).toMatchObject([{ kind: 'spooling', reason: expect.stringContaining('is damaged') }]);
    expect(end).toMatchObject({ lost: 0, spooled: 10 });
    expect(() => new TrailReader(directory)).toThrow(/is damaged/);
    for (const name of readdirSync(directory).filter((file) => file.startsWith(STORE_FILE)))
      renameSync(join(directory, name), join(place, name));
    await record([]);
    expect(sorted(stored())).toEqual(sorted(idsOf(range(100, 110))));
  });

  test('nor its spool: no more is kept than the spool may hold, and the rest is counted', () =>
    onDisk('size=32m', async (remount) => {
      await record([0]);
      remount('ro');
      const told: Notice[] = [];
      const options = {
        directory,
        limits: LIMITS,
        spoolBytes: 32 << 10,
        tell: (notice: Notice) => told.push(notice),
      };
      const writer = new Writer(options);
      let lost = 0;
      for (const number of range(1, 201)) lost += writer.write([writeLine(sampleEvent(number))]);
      expect(told.map(({ kind }) => kind)).toEqual(['spooling', 'losing']);
      expect(spooled().bytes).toBeLessThanOrEqual(32 << 10);
      expect(lost + writer.spooled).toBe(200);
      writer.close();
      remount('rw');
      await record([]);
      expect(stored()).toHaveLength(1 + 200 - lost);
    }));
});

describe('the state directory', () => {
  const spooling = (reason: string) => [{ kind: 'spooling', reason: expect.stringContaining(reason) }];

  test('is made for root alone', async () => {
    directory = join(place, 'a/b/state');
    await record([0]);
    const modes = execFileSync('find', [place, '-mindepth', '1', '-printf', '%m %P\n'], { encoding: 'utf8' });
    expect(modes.trim().split('\n').sort()).toEqual(
      ['600 a/b/state/audit.db', '700 a', '700 a/b', '700 a/b/state'].sort(),
    );
  });

  test.each([
    ['is a symbolic link', () => symlinkSync(place, directory), 'is not a directory'],
    [
      'can be written by others',
      () => mkdirSync(directory) ?? chmodSync(directory, 0o777),
      'can be written by others',
    ],
    ['is another’s', () => mkdirSync(directory) ?? chownSync(directory, 1234, 0), 'belongs to user 1234'],
    ['lies where others can write', () => chmodSync(place, 0o777), 'can be written by others'],
    ['lies in another’s directory', () => chownSync(place, 1234, 0), 'belongs to user 1234'],
    [
      'has a store that is a symbolic link',
      () => {
        mkdirSync(directory, { mode: 0o700 });
        symlinkSync(join(place, 'target'), join(directory, STORE_FILE));
      },
      'is not a plain file',
    ],
  ])('is not used when it %s: nothing is written through it', async (_, prepare, reason) => {
    prepare();
    const before = readdirSync(place);
    const { end, told } = await record([0]);
    expect(told).toMatchObject(spooling(reason));
    expect(end).toMatchObject({ lost: 0, spooled: 1 });
    const own = reason === 'is not a plain file' ? directory : '/run/acyclic/spool';
    expect(end.file).toMatch(new RegExp(`^${own}/`));
    expect(readdirSync(place)).toEqual(before);
  });
});

describe('whoever records', () => {
  test('is told the exact number that was lost when it is faster than the disk', async () => {
    const { trail } = openTrail();
    for (const number of range(0, 100_000)) trail.record(sampleEvent(number));
    const { lost, spooled: waiting, fault } = await trail.close();
    expect({ waiting, fault }).toEqual({ waiting: 0, fault: null });
    expect(lost).toBe(trail.lost);
    expect(lost).toBeGreaterThan(0);
    expect(stored().length + lost).toBe(100_000);
  }, 120_000);

  test('may record what it likes: the writer keeps to its memory', async () => {
    const { trail } = openTrail();
    const before = process.memoryUsage().rss;
    // Of each message a little is remembered; that must not keep all of it.
    const { process: curl, destination } = sampleEvent(0);
    const caller = curl && { ...curl, argv: ['x'.repeat(4000)], ancestry: [] };
    for (let number = 0; number < 60_000; number++) {
      const names = [`n${Math.floor(number / 400)}.example`];
      trail.record(
        sampleEvent(number, { process: caller, destination: destination && { ...destination, names } }),
      );
      if (number % 2000 === 1999) await trail.flushed();
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(150 << 20);
    expect(await trail.close()).toEqual({ lost: 0, spooled: 0, file: null, fault: null });
  }, 60_000);

  test('goes on when the writer dies, and is told', async () => {
    directory = 5 as unknown as string;
    const { trail } = openTrail();
    trail.record(sampleEvent(0));
    const end = await trail.close();
    directory = join(place, 'state');
    expect(end).toMatchObject({ lost: 1, spooled: 0, fault: expect.stringContaining('argument must be') });
  });

  test('may record a run out of order, as a spool does', async () => {
    const { trail } = openTrail();
    for (const late of [sampleEvent(0), sampleSummary(5), sampleStart(), sampleEvent(1)]) trail.record(late);
    await trail.close();
    const reader = new TrailReader(directory);
    expect(findRun(reader, RUN)).toMatchObject({ state: 'ended', command: ['./deploy.sh'], calls: 2 });
    reader.close();
  });
});
