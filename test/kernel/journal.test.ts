import { expect, test } from 'vitest';
import type { BpfMap } from '../../src/kernel/binding.ts';
import { type EntryKind, Journal } from '../../src/kernel/journal.ts';
import { journalForAll } from './fixtures/journal.ts';

const MIB = 1 << 20;

let map: BpfMap;
journalForAll((one) => {
  map = one;
});

const entry = (kind: EntryKind, time: number, bytes: Buffer) => ({
  kind,
  time,
  position: BigInt(time),
  bytes,
});

test('what one process put in another reads, in order, until it is released', () => {
  const journal = new Journal(map);
  const turned: number[] = [];
  const put = (time: number, ...all: Buffer[]) =>
    journal.append(
      all.map((bytes) => entry('events', time, bytes)),
      () => {
        turned.push(time);
        journal.append([entry('note', time, Buffer.from('first of a half'))], () => {});
      },
    );
  const times = () => [...new Journal(map).entries()].map(({ time }) => time);
  expect(journal.turned).toBe(null);
  expect(put(1, Buffer.from('odd'))).toBe(true);
  expect([...new Journal(map).entries()]).toEqual([entry('events', 1, Buffer.from('odd'))]);
  for (const time of [2, 3, 4]) expect(put(time, Buffer.alloc(MIB, time))).toBe(true);
  expect([turned, journal.waits, journal.turned]).toEqual([[], false, 1]);
  // The first of these would have had room: they stay together.
  const less = MIB - 100_000;
  expect(put(5, Buffer.alloc(less, 5), Buffer.alloc(less, 5))).toBe(true);
  expect([turned, journal.waits, journal.turned]).toEqual([[5], true, 5]);
  expect(times()).toEqual([1, 2, 3, 4, 5, 5, 5]);
  for (const time of [6, 7]) expect(put(time, Buffer.alloc(MIB, time))).toBe(true);
  expect(put(8, Buffer.alloc(MIB, 8))).toBe(false);
  journal.release();
  expect([times(), journal.waits]).toEqual([[5, 5, 5, 6, 7], false]);
  expect(put(8, Buffer.alloc(MIB, 8))).toBe(true);
  expect([times(), new Journal(map).turned]).toEqual([[5, 5, 5, 6, 7, 8, 8], 8]);
  expect([...journal.entries()].at(-1)?.bytes.equals(Buffer.alloc(MIB, 8))).toBe(true);
  expect(() => put(9, Buffer.alloc(3 * MIB))).toThrow(RangeError);
});
