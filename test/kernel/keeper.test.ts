import { expect, test } from 'vitest';
import { Keeper } from '../../src/guard/keeper.ts';
import type { BpfMap } from '../../src/kernel/binding.ts';
import { native } from '../../src/kernel/native.ts';
import { journalForAll } from './fixtures/journal.ts';

const NOTE = 60 << 10;
const REST_MS = 10_000;

let map: BpfMap;
journalForAll((one) => {
  map = one;
});

/** A keeper at its own time, in milliseconds, and the times its run was settled for, in nanoseconds. */
function keeperAt(time: number) {
  const clock = { now: time };
  const settled: bigint[] = [];
  const run = { run: 1n, recollection: () => 'who', settle: (before: bigint) => settled.push(before) };
  const flushed = async () => true;
  const keeper = new Keeper({ map, now: () => clock.now, runs: () => [run], flushed });
  return { keeper, clock, settled };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('what a killed process left open is settled before the half it is in is let go, in its time', async () => {
  const first = keeperAt(100);
  first.keeper.note(1n, 'x'.repeat(NOTE));
  first.clock.now = 5000;
  while (!first.keeper.journal.waits) first.keeper.note(1n, 'x'.repeat(NOTE));
  first.clock.now = 6000;
  first.keeper.note(1n, 'later');

  const second = keeperAt(5000 + REST_MS - 1);
  second.keeper.beat();
  await settle();
  expect([second.settled, second.keeper.journal.waits]).toEqual([[], true]);
  second.clock.now = 5000 + REST_MS;
  second.keeper.beat();
  await settle();
  expect([second.settled, second.keeper.journal.waits]).toEqual([[5_000_000_000n], false]);
});

test('one that was killed as the half began has all settled that was begun before it', async () => {
  const first = keeperAt(100);
  while (!first.keeper.journal.waits) first.keeper.note(1n, 'x'.repeat(NOTE));
  // What the half begins with was not written any more.
  const words = new Uint32Array(native().mapMmap(map), 0, 3);
  words[1 + (words[0] ?? 0)] = 0;
  const second = keeperAt(7000);
  second.clock.now = 7000 + REST_MS;
  second.keeper.beat();
  await settle();
  expect([second.settled, second.keeper.journal.waits]).toEqual([[7_000_000_000n], false]);
});
