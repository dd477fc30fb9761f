import { expect, test } from 'vitest';
import { Quota } from './quota.ts';

test('a run takes its own share and leaves the rest to others', () => {
  const quota = new Quota(3, 2);
  expect([quota.enter('a'), quota.enter('a'), quota.enter('a')]).toEqual([true, true, false]);
  expect([quota.enter('b'), quota.enter('b')]).toEqual([true, false]);
  quota.leave('a');
  expect(quota.enter('b')).toBe(true);
  quota.leave('nobody');
  expect(quota.enter('c')).toBe(false);
});
