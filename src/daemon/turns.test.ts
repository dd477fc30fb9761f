import { expect, test } from 'vitest';
import { Turns } from './turns.ts';

/** Holds the loop. */
function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('who asks for much holds up neither timers nor others', async () => {
  const turns = new Turns();
  const done: number[] = [];
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
  }, 1);
  const one = async (uid: number) => {
    await turns.take(uid);
    work(5);
    done.push(uid);
  };
  await Promise.all([...Array.from({ length: 20 }, () => one(1)), one(2), one(3)]);
  clearInterval(timer);
  expect(done.slice(0, 4).toSorted()).toEqual([1, 1, 2, 3]);
  expect(done).toHaveLength(22);
  expect(ticks).toBeGreaterThan(10);
});

test('a turn that comes later is given, too', async () => {
  const turns = new Turns();
  await turns.take(1);
  await turns.take(1);
  await Promise.all([turns.take(1), turns.take(2)]);
});
