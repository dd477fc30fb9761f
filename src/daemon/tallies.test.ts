import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RUN, sampleEvent } from '../../test/audit/sample-events.ts';
import { until } from '../../test/kernel/fixtures/fixture.ts';
import { LIMITS } from '../audit/retention.ts';
import { AuditTrail } from '../audit/trail.ts';
import { Tally } from '../guard/tally.ts';
import type { AuditEvent } from '../model/event.ts';
import { formatTarget } from '../model/target.ts';
import { Tallies } from './tallies.ts';

let directory: string;
let trail: AuditTrail;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'acyclic-tallies-'));
  trail = new AuditTrail({ directory: join(directory, 'state'), limits: LIMITS, onNotice: () => {} });
});
afterEach(async () => {
  await trail.close();
  rmSync(directory, { recursive: true });
});

const newTally = () => new Tally({ staged: null, seen: null });
const file = () => join(directory, 'tallies');
const open = () => new Tallies(join(directory, 'state'), () => trail.flushed(), file());

/** Records and counts events as a run does. */
function record(tallies: Tallies, tally: Tally, events: readonly AuditEvent[]): void {
  for (const event of events) {
    trail.record(event);
    tally.add(event, formatTarget(event));
    tallies.recorded(event.id);
  }
}

const events = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => sampleEvent(from + i) as AuditEvent);

test('a daemon that takes over counts what was recorded since the tallies were put on file, and nothing twice', async () => {
  const before = open();
  const tally = newTally();
  expect(before.restore(RUN, tally)).toBe(false);
  before.add(RUN, tally);
  record(before, tally, events(0, 10_000));
  await until(() => existsSync(file()), 'the tallies are on file');
  record(before, tally, events(10_000, 10_050));
  await trail.flushed();

  const after = open();
  const restored = newTally();
  expect(after.restore(RUN, restored)).toBe(true);
  expect(restored.calls).toBeGreaterThan(0);
  expect(restored.calls).toBeLessThan(tally.calls);
  after.catchUp(new Map([[RUN, restored]]));
  expect(restored.snapshot()).toEqual(tally.snapshot());
  expect(restored.waiting).toEqual(tally.waiting);
});

test('a run that was begun later is counted from its beginning; without a file that says so, nothing is', async () => {
  const before = open();
  record(before, newTally(), events(0, 10_000));
  await until(() => existsSync(file()), 'the tallies are on file');
  const later = newTally();
  record(before, later, events(10_000, 10_007));
  await trail.flushed();
  const after = open();
  const tally = newTally();
  expect(after.restore(RUN, tally)).toBe(true);
  after.catchUp(new Map([[RUN, tally]]));
  expect(tally.snapshot()).toEqual(later.snapshot());
  writeFileSync(file(), '{"v":2}');
  expect(open().restore(RUN, newTally())).toBe(false);
});

test('what was counted with another store is not gone on with', async () => {
  const before = open();
  record(before, newTally(), events(0, 10_000));
  await until(() => existsSync(file()), 'the tallies are on file');
  expect(open().restore(RUN, newTally())).toBe(true);
  const elsewhere = join(directory, 'elsewhere');
  const other = new AuditTrail({ directory: elsewhere, limits: LIMITS, onNotice: () => {} });
  other.record(sampleEvent(0));
  await other.flushed();
  expect(new Tallies(elsewhere, () => other.flushed(), file()).restore(RUN, newTally())).toBe(false);
  await other.close();
});
