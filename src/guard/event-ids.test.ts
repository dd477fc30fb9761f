import { expect, test } from 'vitest';
import { eventIds } from './event-ids.ts';

test('ids are ULIDs that rise, also within a millisecond, and those of two runs differ', () => {
  const [one, other] = [eventIds(), eventIds()];
  const ids = Array.from({ length: 10_000 }, one);
  for (const id of ids) expect(id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  expect([...ids].sort()).toEqual(ids);
  expect(new Set([...ids, ...Array.from({ length: 10_000 }, other)]).size).toBe(20_000);
});
