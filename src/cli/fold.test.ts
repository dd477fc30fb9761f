import { describe, expect, it } from 'vitest';
import { createFold } from './fold.ts';
import type { DenialView } from './message.ts';

function denial(
  name: string,
  exe = '/usr/bin/curl',
  rule = 'circular',
  address = '192.0.2.7',
  pid = 1,
): DenialView {
  const image = { pid, start: null, uid: 0, comm: 'x', exe, argv: null };
  return {
    event: {
      v: 1,
      id: 'e',
      time: '',
      host: 'h',
      run: 'r',
      deployment: null,
      policy: null,
      count: 1,
      kind: 'connect',
      destination: { address, port: 443, protocol: 'tcp', names: [name], service: null },
      process: { ...image, ancestry: [] },
      verdict: 'deny',
      rule: null,
      dependency: null,
      outcome: null,
      hook: null,
    },
    rule: {
      kind: 'circular',
      source: rule,
      id: null,
      service: null,
      reason: null,
      owner: null,
      instead: null,
    },
    cycle: null,
    dependency: null,
    saw: '',
    lineage: [],
    instead: null,
    repeats: 0,
    more: null,
  };
}

describe('createFold', () => {
  it('tells the first denial at once and counts a retry loop, whatever its pid and address', () => {
    const fold = createFold();
    expect(fold.first(denial('github.com'), 0)).toBe(true);
    for (let n = 1; n <= 17; n++) {
      expect(fold.first(denial('github.com', '/usr/bin/curl', 'circular', `192.0.2.${n}`, n), n * 10)).toBe(
        false,
      );
    }
    expect(fold.due(4999)).toEqual([]);
    expect(fold.due(5000)).toEqual(['acyclic: denied curl → github.com:443/tcp ×17 more']);
    expect(fold.due(20_000)).toEqual([]);
  });

  it('tells repeats at most once every five seconds', () => {
    const fold = createFold();
    let told = 0;
    for (let ms = 0; ms <= 60_000; ms += 100) {
      if (fold.first(denial('github.com'), ms)) told += 1;
      told += fold.due(ms).length;
    }
    expect(told).toBe(13);
  });

  it('tells apart programs, destinations and rules', () => {
    const fold = createFold();
    const kinds = [
      denial('a'),
      denial('b'),
      denial('a', '/usr/bin/wget'),
      denial('a', '/usr/bin/curl', 'other'),
    ];
    expect(kinds.map((kind) => fold.first(kind, 0))).toEqual([true, true, true, true]);
  });

  it('totals every denial, the most frequent first', () => {
    const fold = createFold();
    for (const name of ['a', 'b', 'b']) fold.first(denial(name), 0);
    expect(fold.totals().map(({ view, count }) => [view?.event.destination?.names[0], count])).toEqual([
      ['b', 2],
      ['a', 1],
    ]);
  });

  it('is bounded: a scan of many destinations becomes one count', () => {
    const fold = createFold();
    const told = Array.from({ length: 5000 }, (_, n) => fold.first(denial(`host-${n}`), 0)).filter(
      Boolean,
    ).length;
    expect(told).toBe(512);
    expect(fold.due(10_000)).toEqual(['acyclic: denied 4488 more calls to other destinations']);
    expect(fold.totals().at(-1)).toEqual({ view: null, count: 4488 });
  });
});
