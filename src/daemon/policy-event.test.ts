import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { writeLine } from '../audit/line.ts';
import { TrailReader } from '../audit/reader.ts';
import { LIMITS } from '../audit/retention.ts';
import { Writer } from '../audit/writer.ts';
import { reportLine } from '../model/event-schema.ts';
import { type Change, changeEvent } from './policy-event.ts';

const places: string[] = [];
afterEach(() => {
  for (const place of places.splice(0)) rmSync(place, { recursive: true });
});

const change: Change = {
  ...{
    what: 'apply' as const,
    who: { uid: 1000, pid: 42, comm: 'acyclic' },
    reason: 'OPS-1',
    before: '1234567',
  },
  ...{ changes: ['deployment mysql', '  denied now a.example'], policy: '89abcde', deployment: null },
};
const ID = '01KAR2RZ8T5N0W3M2B7XK4D9VJ';
const lapsed: Change = { ...change, what: 'entry-lapsed', who: null, reason: null, deployment: 'mysql' };

test.each([
  ['that somebody asked for', change],
  ['that nobody asked for', lapsed],
] as const)(
  'the event of a change %s is one of the schema, and comes back from the trail whole',
  (_, given) => {
    const state = mkdtempSync(join(tmpdir(), 'acyclic-change-'));
    places.push(state);
    const event = changeEvent(given, { host: 'db-1', run: '01KAR2RZ8T5N0W3M2B7XK4D9VH' }, ID);
    expect(reportLine.parse(event)).toEqual(event);
    expect(event).toMatchObject({
      kind: 'policy',
      change: { by: given.who?.uid ?? null, before: '1234567' },
    });
    const writer = new Writer({ directory: state, limits: LIMITS, tell: () => {} });
    expect(writer.write([writeLine(event)])).toBe(0);
    writer.close();
    const reader = new TrailReader(state);
    expect([...reader.events({ kind: 'policy' })]).toEqual([event]);
    reader.close();
  },
);
