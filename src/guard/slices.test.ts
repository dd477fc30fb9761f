import { expect, test } from 'vitest';
import { atOnce, inSlices, whileWanted } from './slices.ts';

/** Work of so many steps, each of which keeps the processor busy for so long. */
function* work(steps: number, ms = 0, done: number[] = []): Generator<void, string> {
  for (let i = 0; i < steps; i++) {
    const until = performance.now() + ms;
    while (performance.now() < until);
    done.push(i);
    yield;
  }
  return 'done';
}

/** How often the event loop has its turn until something is done. */
async function turnsUntil(doing: Promise<unknown>): Promise<number> {
  let [turns, isOver] = [0, false];
  const turn = () => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  await doing;
  isOver = true;
  return turns;
}

test('between slices of a few milliseconds the event loop has its turn', async () => {
  const doing = inSlices(work(60, 1));
  expect(await turnsUntil(doing)).toBeGreaterThanOrEqual(10);
  expect(await doing).toBe('done');
});

test('small steps share a slice', async () => {
  const done: number[] = [];
  const doing = inSlices(work(100, 0, done));
  expect(done).toHaveLength(100);
  expect(await doing).toBe('done');
});

test('what goes wrong in a step is told', async () => {
  await expect(
    inSlices(
      (function* () {
        yield;
        throw new Error('no room');
      })(),
    ),
  ).rejects.toThrow('no room');
});

test('at once it gives the same', () => {
  expect(atOnce(work(3))).toBe('done');
});

test('work that is not wanted any more ends after the step it is at', () => {
  const done: number[] = [];
  expect(atOnce(whileWanted(() => done.length < 2, work(5, 0, done)))).toBeNull();
  expect(done).toEqual([0, 1]);
  expect(atOnce(whileWanted(() => true, work(5)))).toBe('done');
});
