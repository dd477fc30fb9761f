import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RUN, sampleEvent, sampleId, sampleStart, sampleSummary } from '../../test/audit/sample-events.ts';
import type { AuditEvent } from '../model/event.ts';
import { reportLine } from '../model/event-schema.ts';
import { readLine, writeLine } from './line.ts';
import { ownIdentity } from './liveness.ts';
import { TrailReader } from './reader.ts';
import type { TrailRecord } from './record.ts';
import type { Limits } from './retention.ts';
import { findRun, listRuns } from './runs.ts';
import { migrate, STEPS } from './schema.ts';
import { countDeployments, countDestinations, countOver, countPrograms } from './stats.ts';
import { STORE_FILE, Store, type Weighed } from './store.ts';
import { type Notice, Writer } from './writer.ts';

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'acyclic-store-')), 'state');
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

const GENEROUS: Limits = { ageMs: 1e13, bytes: 1 << 30 };

function weighed(record: TrailRecord): Weighed {
  const text = writeLine(record);
  const line = readLine(text);
  if (!line) throw new Error(`not a line: ${text}`);
  return { line, weight: text.length };
}

function write(records: readonly TrailRecord[], limits = GENEROUS): void {
  const store = new Store(directory, limits);
  store.write(records.map(weighed));
  store.close();
}

function reading<T>(read: (reader: TrailReader) => T): T {
  const reader = new TrailReader(directory);
  try {
    return read(reader);
  } finally {
    reader.close();
  }
}

const events = (...numbers: number[]) => numbers.map((number) => sampleEvent(number));
const range = (length: number) => Array.from({ length }, (_, i) => i);
const ids = (found: Iterable<{ id: string }>) => [...found].map(({ id }) => id);

describe('an event comes back as it was recorded', () => {
  test('with every field, in the published order', () => {
    const all = [...events(0, 1, 2), sampleSummary(3)];
    write([sampleStart(), ...all]);
    const found = reading((reader) => [...reader.events({})]);
    expect(found).toEqual(all);
    expect(found.map((event) => JSON.stringify(event))).toEqual(all.map((event) => JSON.stringify(event)));
    for (const event of found) expect(reportLine.safeParse(event).error).toBeUndefined();
  });

  test('with what is null, and with fields this version does not know', () => {
    // As JSON has it: without a negative zero.
    const json = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)));
    const added = fc.dictionary(fc.stringMatching(/^x_[a-z]{1,8}$/), json, { maxKeys: 3 });
    const part = <T>(value: T) =>
      fc.oneof(
        fc.constant(null),
        added.map((more) => ({ ...value, ...more })),
      );
    const [whole] = events(3);
    const { ancestry = [], ...caller } = whole?.process ?? {};
    const event = fc.record({
      count: fc.integer({ min: 1 }),
      kind: fc.constantFrom('connect', 'dns', 'escape', 'policy'),
      verdict: fc.constantFrom(null, 'allow', 'deny'),
      deployment: fc.constantFrom(null, 'mysql', 'a\tb\nc'),
      destination: part(whole?.destination),
      process: part({ ...caller, ancestry: [...ancestry, { ...caller, argv: null, exe: null }] }),
      rule: part(whole?.rule),
      dependency: part(whole?.dependency),
      outcome: part(whole?.outcome),
      hook: fc.oneof(fc.constant(null), fc.string({ unit: 'binary' })),
      more: added,
    });
    let number = 0;
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 5 }), (drawn) => {
        const given = drawn.map(({ more, ...changes }) => ({
          ...sampleEvent(number++, changes as unknown as Partial<AuditEvent>),
          ...more,
        }));
        write(given);
        reading((reader) => {
          for (const one of given) expect(reader.event(one.id)).toEqual(one);
        });
      }),
      { numRuns: 100 },
    );
  });

  test('once, however often it is written', () => {
    write(events(0, 1));
    write([...events(1, 2), ...events(2)]);
    reading((reader) => {
      expect(ids(reader.events({}))).toEqual([0, 1, 2].map((number) => sampleId(number)));
      expect(findRun(reader, RUN)).toMatchObject({ events: 3, calls: 3, denials: 1 });
    });
  });

  test('and cannot be changed in the store', () => {
    write(events(0));
    const db = new DatabaseSync(join(directory, STORE_FILE));
    expect(() => db.exec('UPDATE event SET count = 2')).toThrow('append-only');
    db.close();
  });
});

test('a line that is at fault is counted, and those beside it are stored', () => {
  const notices: Notice[] = [];
  const writer = new Writer({ directory, limits: GENEROUS, tell: (notice) => notices.push(notice) });
  const [good, other] = [writeLine(sampleEvent(0)), writeLine(sampleEvent(1))];
  const broken = writeLine(sampleEvent(2)).replace('{"v":1', '{"v":');
  expect(writer.write([good, 'no line at all', broken, other])).toBe(2);
  writer.close();
  expect(notices).toEqual([]);
  expect(reading((reader) => [...reader.events({})])).toEqual(events(0, 1));
});

describe('events are found', () => {
  const other = sampleId(1, '01RVNRVN');
  const lookup = sampleEvent(7, {
    run: other,
    kind: 'dns',
    deployment: null,
    verdict: 'would-deny',
    destination: { address: null, port: 53, protocol: 'udp', names: ['a.example'], service: null },
    process: { pid: 77, start: null, uid: 5, comm: 'dig', exe: '/usr/bin/dig', argv: null, ancestry: [] },
  });
  beforeEach(() =>
    write([
      ...[sampleStart(), sampleStart({ run: other, deployment: null, labels: { team: 'web', tier: '1' } })],
      ...[...events(0, 1, 2, 3), lookup, sampleSummary(9)],
    ]),
  );
  const [NONE, LOOKUP]: [number[], number[]] = [[], [7]];

  test.each<[string, Parameters<TrailReader['events']>[0], number[]]>([
    ['all of them', {}, [0, 1, 2, 3, 7, 9]],
    ['by run', { run: RUN }, [0, 1, 2, 3, 9]],
    ['by a run without events', { run: sampleId(5, '01RVNRVN') }, NONE],
    ['by deployment', { deployment: 'mysql' }, [0, 1, 2, 3, 9]],
    ['by label', { labels: { team: 'web' } }, LOOKUP],
    ['by two labels', { labels: { team: 'web', tier: '1' } }, LOOKUP],
    ['by labels of two runs', { labels: { team: 'db', tier: '1' } }, NONE],
    ['by service', { service: 'github' }, [0, 1, 2, 3]],
    ['by verdict', { verdict: 'deny' }, [0, 3]],
    ['by kind', { kind: 'dns' }, LOOKUP],
    ['by destination', { destination: ({ names }) => names[0] === 'h1.github.com' }, [1]],
    ['by program', { process: 'dig' }, LOOKUP],
    ['by pid', { process: '5002' }, [2]],
    ['by path of the program', { process: '/usr/bin/curl' }, [0, 1, 2, 3]],
    ['by time', { since: 1_795_392_000_000_020_000n, until: 1_795_392_000_000_060_000n }, [1, 2]],
    ['by several', { verdict: 'deny', since: 1_795_392_000_000_020_000n, process: 'curl' }, [3]],
  ])('%s', (_, filter, numbers) =>
    expect(reading((reader) => ids(reader.events(filter)))).toEqual(
      numbers.map((number) => sampleId(number)),
    ),
  );

  test('the newest first, if only some are wanted, and told by their time', () => {
    write(events(20, 19));
    reading((reader) => {
      expect(ids(reader.events({}, 3))).toEqual([9, 19, 20].map((number) => sampleId(number)));
      expect(ids(reader.events({ verdict: 'deny' }, 1))).toEqual([sampleId(3)]);
      expect(ids(reader.events({}, 100))).toHaveLength(8);
      expect(ids(reader.events({}, 0))).toEqual([]);
    });
  });

  test('by the beginning of an id, in any case, if it is the only one', () => {
    write([
      sampleEvent(40, { id: '01ZZZ0000000000000000000AB' }),
      sampleEvent(41, { id: '01ZZZ0000000000000000000AC' }),
    ]);
    reading((reader) => {
      expect(reader.event('01zzz0000000000000000000ab').id).toBe('01ZZZ0000000000000000000AB');
      expect(() => reader.event('01ZZZ')).toThrow(/several ids begin with `01ZZZ`/);
      expect(() => reader.event('01YYY')).toThrow(/no record `01YYY`/);
      expect(() => reader.event('')).toThrow(/no record/);
    });
  });

  test('in the order of record, beyond a place', () => {
    reading((reader) => {
      const first = reader.following({}, 0);
      expect(ids(first.events)).toEqual([0, 1, 2, 3, 7, 9].map((number) => sampleId(number)));
      expect(reader.following({}, first.seq)).toEqual({ events: [], seq: first.seq });
      write(events(5, 4));
      const next = reader.following({ verdict: 'allow' }, first.seq);
      expect(ids(next.events)).toEqual([5, 4].map((number) => sampleId(number)));
      expect(reader.following({}, next.seq).events).toEqual([]);
    });
  });

  test('page after page', () => {
    write(range(5000).map((number) => sampleEvent(100 + number)));
    reading((reader) => {
      expect(ids(reader.events({ since: 1_795_392_000_002_000_000n }))).toEqual(
        range(5000).map((number) => sampleId(100 + number)),
      );
    });
  });
});

describe('runs', () => {
  test('one that ended has its summary, one that is unknown to live is lost, one that lives runs', () => {
    const run = (number: number) => sampleId(number, '01RVNRVN');
    const engine = { pid: 1, start: 'never', boot: 'none' };
    write([
      ...[sampleStart(), ...events(0, 1, 2), sampleSummary(3)],
      sampleStart({ run: run(1), engine, deployment: 'web', labels: {} }),
      { ...sampleEvent(8), run: run(2) },
      sampleStart({ run: run(3), engine: ownIdentity(), time: '2026-11-22T00:00:00Z' }),
    ]);
    reading((reader) => {
      const runs = listRuns(reader, {});
      expect(runs.map(({ state }) => state)).toEqual(['running', 'ended', 'lost', 'lost']);
      expect(runs[1]).toMatchObject({
        ...{
          run: RUN,
          mode: 'enforce',
          command: ['./deploy.sh'],
          labels: { team: 'db' },
          events: 4,
          calls: 3,
        },
        ...{ denials: 1, would_deny: 0, summary: sampleSummary(3) },
      });
      expect(runs[3]).toMatchObject({ command: null, mode: null, labels: {}, deployment: 'mysql', calls: 1 });
      expect(listRuns(reader, { deployment: 'web' }).map((one) => one.run)).toEqual([run(1)]);
      expect(listRuns(reader, { labels: { team: 'db' } }).map((one) => one.run)).toEqual([run(3), RUN]);
      expect(listRuns(reader, {}, 1).map((one) => one.run)).toEqual([run(2)]);
      expect(listRuns(reader, { since: 1_795_392_000_000_000_001n })).toHaveLength(1);
      expect(findRun(reader, run(1)).run).toBe(run(1));
    });
  });
});

describe('counts', () => {
  const label = (_: string, destination: { names: readonly string[] }) => destination.names[0] ?? '';
  beforeEach(() =>
    write([
      ...[sampleEvent(0), sampleEvent(200, { count: 5 }), sampleEvent(600), sampleEvent(1), sampleSummary(3)],
      sampleEvent(601, {
        outcome: {
          ...{ errno: 'ETIMEDOUT', duration_us: 5_000_000, result: 'timed-out' as const },
          ...{ bytes_sent: null, bytes_received: null },
        },
      }),
      sampleEvent(2, {
        deployment: 'web',
        process: null,
        verdict: 'would-deny',
        time: '2026-11-25T00:00:00Z',
      }),
    ]),
  );

  test('by destination, with the time that denied and failing calls took', () => {
    reading((reader) => {
      const [first, second, third, ...more] = countDestinations(reader, {}, label);
      expect(first).toMatchObject({ destination: 'h0.github.com', service: 'github', calls: 7, denied: 2 });
      expect(first).toMatchObject({ failed: 0, runs: 1, wait_ms: 0, retry_ms: 12 });
      expect(second).toMatchObject({ destination: 'h1.github.com', calls: 2, failed: 1, wait_ms: 5000 });
      expect(third).toMatchObject({ destination: 'h2.github.com', calls: 1, would_deny: 1 });
      expect(more).toEqual([]);
      expect(countDestinations(reader, { verdict: 'deny' }, label)).toMatchObject([{ calls: 2, denied: 2 }]);
      expect(
        countDestinations(reader, { destination: ({ names }) => names[0] === 'h1.github.com' }, label),
      ).toHaveLength(1);
    });
  });

  test('by program, by deployment and over time', () => {
    reading((reader) => {
      expect(countPrograms(reader, {})).toMatchObject([
        { program: 'curl', calls: 9 },
        { program: null, calls: 1 },
      ]);
      expect(countDeployments(reader, {})).toMatchObject([
        { deployment: 'mysql', calls: 9 },
        { deployment: 'web', calls: 1 },
      ]);
      expect(countOver(reader, {}, 'day')).toMatchObject([
        { time: '2026-11-23T00:00:00.000000000Z', calls: 9 },
        { time: '2026-11-25T00:00:00.000000000Z', calls: 1 },
      ]);
      expect(countOver(reader, { since: 1_795_392_100_000_000_000n }, 'hour')).toMatchObject([{ calls: 1 }]);
    });
  });
});

describe('what is kept', () => {
  const DAY = 86_400_000;
  const BEGIN = 1_795_392_000_000;

  /** Events of segments of their own, then as much upkeep as there is. */
  function fill(segments: number, limits: Limits): void {
    const store = new Store(directory, { ...limits, bytes: 1 });
    for (const segment of range(segments))
      store.write(range(300).map((i) => weighed(sampleEvent(segment * 300 + i))));
    store.close();
    const pruning = new Store(directory, limits);
    let slices = 0;
    while (pruning.prune()) expect(++slices).toBeLessThan(1000);
    pruning.close();
  }

  function rows(): Record<string, number> {
    const db = new DatabaseSync(join(directory, STORE_FILE));
    const tables = ['segment', 'event', 'process', 'destination', 'decision', 'run'];
    const counted = tables.map((table) => [
      table,
      Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n),
    ]);
    db.close();
    return Object.fromEntries(counted);
  }

  test('what is too old goes, with all that only it referred to; the newest segment stays', () => {
    fill(5, { ageMs: Date.now() - BEGIN - DAY, bytes: 1 << 30 });
    expect(rows()).toMatchObject({ segment: 1, event: 300, run: 1, destination: 200 });
    expect(rows().process).toBeLessThan(310);
    expect(reading((reader) => ids(reader.events({})))).toEqual(range(300).map((i) => sampleId(1200 + i)));
  });

  test('what is too much goes, the oldest first, and its space is used again', () => {
    fill(30, { ageMs: 1e13, bytes: 1 << 20 });
    const kept = reading((reader) => ids(reader.events({})));
    expect(kept.length).toBeGreaterThan(300);
    expect(kept.length).toBeLessThan(9000);
    expect(kept.at(-1)).toBe(sampleId(8999));
    const db = new DatabaseSync(join(directory, STORE_FILE));
    const pages = (pragma: string) => Number(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
    expect((pages('page_count') - pages('freelist_count')) * 4096).toBeLessThanOrEqual(1 << 20);
    expect(pages('freelist_count') * 4096).toBeLessThanOrEqual((1 << 20) / 4);
    db.close();
  });

  test('what is within the limits stays', () => {
    fill(3, GENEROUS);
    expect(rows()).toMatchObject({ segment: 3, event: 900 });
  });
});

describe('the schema', () => {
  test('a store of an earlier version is brought up to date, its events kept', () => {
    write(events(0));
    const db = new DatabaseSync(join(directory, STORE_FILE));
    migrate(db, [...STEPS, 'ALTER TABLE run ADD COLUMN note TEXT', 'CREATE TABLE extra (id INTEGER)']);
    expect(db.prepare('SELECT count(*) AS n FROM event, (SELECT note FROM run)').get()).toMatchObject({
      n: 1,
    });
    expect(db.prepare('PRAGMA user_version').get()).toMatchObject({ user_version: STEPS.length + 2 });
    db.close();
    expect(() => new TrailReader(directory)).toThrow(/schema 3, and this program knows 1/);
    expect(() => write(events(1))).toThrow(/schema 3/);
  });

  test('a step that fails leaves the store as it was', () => {
    write(events(0));
    const db = new DatabaseSync(join(directory, STORE_FILE));
    expect(() => migrate(db, [...STEPS, 'CREATE TABLE half (id); SELECT * FROM nowhere'])).toThrow('nowhere');
    expect(db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 'half'").get()).toMatchObject({
      n: 0,
    });
    db.close();
    expect(reading((reader) => ids(reader.events({})))).toHaveLength(1);
  });

  test('where there is no store, that is said', () => {
    expect(() => new TrailReader(directory)).toThrow(/nothing is recorded in/);
  });
});
