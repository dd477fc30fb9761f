import { expect, test } from 'vitest';
import { atOnce, pause, Slices, whileWanted } from './slices.ts';

const inSlices = <T>(work: Generator<void, T>) => new Slices().run(work);

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

test('much of it at a time shares the slices, by turns', async () => {
  const slices = new Slices();
  const done: number[][] = [];
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 0);
  const works = Array.from({ length: 20 }, (_, i) => {
    done.push([]);
    return slices.run(work(10, 1, done[i]));
  });
  await pause();
  // The first began alone; none waits for another to be over.
  expect(Math.max(...done.slice(1).map(({ length }) => length))).toBeLessThan(3);
  expect(await Promise.all(works)).toEqual(works.map(() => 'done'));
  clearInterval(timer);
  expect(longest).toBeLessThan(100);
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
