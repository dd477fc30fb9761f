import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatTime, parseTime, presentTime } from './time.ts';

const LAST_OF_9999 = 253_402_300_799_999_999_999n;

describe('times of events', () => {
  test('every nanosecond is written and read back, and texts sort as times do', () => {
    const times = fc.bigInt({ min: 0n, max: LAST_OF_9999 });
    fc.assert(
      fc.property(times, times, (a, b) => {
        expect(parseTime(formatTime(a))).toBe(a);
        expect(formatTime(a) < formatTime(b)).toBe(a < b);
      }),
    );
  });

  test.each([
    ['2026-11-23T03:20:33Z', '2026-11-23T03:20:33.000000000Z'],
    ['2026-11-23T03:20:33.5Z', '2026-11-23T03:20:33.500000000Z'],
  ])('reads %s', (text, whole) => expect(formatTime(parseTime(text) ?? 0n)).toBe(whole));

  test.each([
    '2026-11-23',
    '2026-11-23T03:20:33+01:00',
    '2026-13-23T03:20:33Z',
    '2026-11-23T03:20:33.1234567890Z',
    '',
  ])('refuses %j', (text) => expect(parseTime(text)).toBeNull());

  test('the present is now', () => {
    expect(Math.abs(Date.parse(presentTime()) - Date.now())).toBeLessThan(1000);
  });
});
