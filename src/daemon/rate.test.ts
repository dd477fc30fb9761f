import { expect, test } from 'vitest';
import { Rate } from './rate.ts';

test('a burst, then so many a second, for each user', () => {
  const rate = new Rate({ burst: 3, rate: 2 });
  expect([1, 2, 3].map(() => rate.take(1, 0))).toEqual([null, null, null]);
  expect(rate.take(1, 0)).toBeCloseTo(0.5);
  expect(rate.take(2, 0)).toBeNull();
  expect(rate.take(1, 500)).toBeNull();
  expect(rate.take(1, 500)).toBeCloseTo(0.5);
  expect([1, 2, 3].map(() => rate.take(1, 10_000))).toEqual([null, null, null]);
  expect(rate.take(1, 10_000)).not.toBeNull();
});

test('many users later, one who has spent all has still spent it', () => {
  const rate = new Rate({ burst: 1, rate: 0.001 });
  expect(rate.take(1, 0)).toBeNull();
  for (let uid = 2; uid < 5000; uid++) rate.take(uid, 1);
  expect(rate.take(1, 2)).not.toBeNull();
});
