import { expect, test } from 'vitest';
import { refuseMore } from './most-runs.ts';

const [ONE, OTHER] = [1000, 1001];
const runsOf = (uid: number | null, count: number) => Array.from({ length: count }, () => uid);

test('what others run or set up takes nothing from a user', () => {
  expect(() => refuseMore(ONE, [...runsOf(ONE, 399), ...runsOf(OTHER, 400)])).not.toThrow();
  expect(() => refuseMore(ONE, runsOf(ONE, 400))).toThrow('too many runs');
});

test('three users leave some for root', () => {
  const others = [...runsOf(ONE, 400), ...runsOf(OTHER, 400), ...runsOf(1002, 100)];
  expect(() => refuseMore(1002, others.slice(1))).not.toThrow();
  expect(() => refuseMore(1002, others)).toThrow('too many runs');
  expect(() => refuseMore(0, others)).not.toThrow();
});

test('root has what is left of all, and nobody more', () => {
  expect(() => refuseMore(0, runsOf(0, 999))).not.toThrow();
  expect(() => refuseMore(0, [...runsOf(ONE, 400), ...runsOf(OTHER, 400), ...runsOf(null, 200)])).toThrow(
    'too many',
  );
});
