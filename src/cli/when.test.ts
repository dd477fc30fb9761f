import { describe, expect, test } from 'vitest';
import { formatTime } from '../model/time.ts';
import { readWhen } from './when.ts';

const NOW = Date.parse('2026-11-23T03:20:33.500Z');
const when = (text: string) => formatTime(readWhen('--since', text, NOW));

describe('a point in time', () => {
  test.each([
    ['now', '2026-11-23T03:20:33.500000000Z'],
    ['2h', '2026-11-23T01:20:33.500000000Z'],
    ['7d', '2026-11-16T03:20:33.500000000Z'],
    ['today', '2026-11-23T00:00:00.000000000Z'],
    ['yesterday', '2026-11-22T00:00:00.000000000Z'],
    ['2026-11-01', '2026-11-01T00:00:00.000000000Z'],
    ['2026-11-01 03:20', '2026-11-01T03:20:00.000000000Z'],
    ['2026-11-01T03:20:33.123456789Z', '2026-11-01T03:20:33.123456789Z'],
    ['2026-11-01T03:20:33+02:00', '2026-11-01T01:20:33.000000000Z'],
    ['2026-11-01 03:20 -01:30'.replace(' -', '-'), '2026-11-01T04:50:00.000000000Z'],
    ['99999d', '1970-01-01T00:00:00.000000000Z'],
    ['2999-01-01', '2262-04-11T23:47:16.854775807Z'],
  ])('%s is %s', (text, time) => expect(when(text)).toBe(time));

  test.each(['', 'tomorrow', '2026-13-01', '2026-11-01 25:00', '11/23/2026', '7 d'])('%j is none', (text) =>
    expect(() => when(text)).toThrow(/--since cannot be/),
  );
});
