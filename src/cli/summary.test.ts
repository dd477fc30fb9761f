import { describe, expect, it } from 'vitest';
import type { RunSummary } from '../model/summary.ts';
import { formatOpening, formatSummary, type SummaryContext } from './summary.ts';

const summary: RunSummary = {
  v: 1,
  kind: 'summary',
  id: '01JS',
  time: '2026-11-23T03:20:33.123456789Z',
  host: 'db-1',
  run: '01JRUN',
  deployment: 'mysql',
  policy: '3f9c2a1',
  mode: 'enforce',
  labels: {},
  calls: 14,
  destinations: 5,
  denials: 3,
  would_deny: 0,
  cycles: [['mysql', 'github', 'mysql']],
  lost: {},
  waiting: [
    {
      ...{ destination: 'github.com:443/tcp', outcome: 'denied' as const, attempts: 3 },
      ...{ wait_ms: 4200, retry_ms: 125_000 },
    },
  ],
  traffic: [],
  exit: { command: 0, acyclic: 122 },
  duration_ms: 12_340,
  leftover: [],
  limits: null,
  staged: null,
  new_destinations: null,
};
const context: SummaryContext = {
  denied: [],
  wouldDeny: [],
  seen: [],
  leftover: 'release',
  report: null,
  suggest: null,
};

describe('formatOpening', () => {
  it('says what is guarded, how, by which policy, in which run', () => {
    expect(formatOpening({ deployment: 'mysql', mode: 'enforce', policy: '3f9c2a1', run: '01J' })).toBe(
      'acyclic: guarding mysql · enforce · policy 3f9c2a1 · run 01J',
    );
  });

  it('says that it only observes when there is no policy', () => {
    expect(formatOpening({ deployment: null, mode: 'audit', policy: null, run: '01J' })).toBe(
      'acyclic: observing · audit · no policy · run 01J',
    );
  });
});

describe('formatSummary', () => {
  it('gives both exit statuses, the cycles and the time lost', () => {
    expect(formatSummary(summary, context)).toEqual([
      'acyclic: run 01JRUN · 14 calls to 5 destinations · 3 denied · exit 122, command 0 · 12.3 s',
      '  cycles   mysql → github → mysql',
      '  waiting  github.com:443/tcp   denied, 3 attempts, 4.2 s waiting, 2 min 5 s retrying',
    ]);
  });

  it('says what limits did, and nothing of those that did nothing', () => {
    const limits = {
      ...{ cpu: 200, memory: 2 ** 31, tasks: 512, in_force: true },
      ...{ oom_kills: 1, oom_group_kills: 0, tasks_refused: 3, throttled_ms: 4200 },
    };
    const told = (changes: object) =>
      formatSummary({ ...summary, limits: { ...limits, ...changes } }, context).slice(3);
    expect(told({})).toEqual([
      '  killed   out of memory: 1 process (memory.max 2GiB)',
      '  refused  too many tasks: 3 forks (pids.max 512)',
      '  slowed   4.2 s waiting for a processor (cpu.max 200%)',
    ]);
    const unlimited = { memory: null, oom_kills: 2, tasks_refused: null, throttled_ms: 999 };
    expect(told(unlimited)).toEqual(['  killed   out of memory: 2 processes']);
    expect(told({ oom_kills: 0, tasks_refused: 0, throttled_ms: 0 })).toEqual([]);
  });

  it('lists what was left running and what became of it', () => {
    const leftover = [{ pid: 4300, comm: 'mysqld', argv: ['mysqld', '--user=my sql'] }];
    expect(formatSummary({ ...summary, leftover }, context)).toContain(
      "  left     mysqld[4300] goes on, unguarded: mysqld '--user=my sql'",
    );
    expect(formatSummary({ ...summary, leftover }, { ...context, leftover: 'kill' }).join('\n')).toContain(
      'mysqld[4300] killed',
    );
  });

  it('says which events were lost', () => {
    expect(formatSummary({ ...summary, lost: { 'ring-full': 1, 'table-full': 2 } }, context)).toEqual(
      expect.arrayContaining(['  lost     1 event (ring-full)', '           2 events (table-full)']),
    );
  });

  it('says of how many calls the end is unknown', () => {
    expect(formatSummary({ ...summary, lost_ends: 2 }, context)).toContain(
      '  unknown  how 2 calls ended (event ring full)',
    );
  });

  it('says what a staged policy would decide otherwise, and which destinations are new', () => {
    const staged = { policy: 'a1b2c3d', differs: 3, denied: 2, allowed: 1 };
    const lines = formatSummary({ ...summary, staged, new_destinations: ['a.example:443/tcp'] }, context);
    expect(lines).toContain(
      '  staged   policy a1b2c3d would decide 3 calls differently: 2 more denied, 1 more allowed',
    );
    expect(lines).toContain('  new      a.example:443/tcp');
    const alike = formatSummary({ ...summary, staged: { ...staged, differs: 0 } }, context);
    expect(alike).toContain('  staged   policy a1b2c3d would decide every call alike');
  });

  it('cuts a long list and says how much is missing', () => {
    const cycles = Array.from({ length: 9 }, (_, n) => ['mysql', `s${n}`, 'mysql']);
    const lines = formatSummary({ ...summary, cycles }, context);
    expect(lines.filter((line) => line.includes('→'))).toHaveLength(4);
    expect(lines).toContain('           and 5 more');
  });

  it('tells who only observed what to do next', () => {
    const observed: RunSummary = {
      ...summary,
      policy: null,
      mode: 'audit',
      denials: 0,
      cycles: [],
      waiting: [],
    };
    expect(formatSummary(observed, context).at(-1)).toMatch(/^ {2}next {5}.*--report FILE.*docs\/policy\.md/);
    expect(formatSummary(observed, { ...context, suggest: 'acyclic policy suggest' }).at(-1)).toBe(
      '  next     turn what was seen into a policy: acyclic policy suggest',
    );
    expect(formatSummary(summary, context).join()).not.toContain('next');
  });

  it('says that a command never started, and that a run was not guarded', () => {
    const broken: RunSummary = { ...summary, mode: 'unguarded', exit: { command: null, acyclic: 127 } };
    expect(formatSummary(broken, context)[0]).toMatch(/ · unguarded · exit 127, command not started · /);
  });
});
