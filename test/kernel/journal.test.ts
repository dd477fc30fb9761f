import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BpfMap, BpfObject } from '../../src/kernel/binding.ts';
import { type EntryKind, Journal } from '../../src/kernel/journal.ts';
import { native } from '../../src/kernel/native.ts';

const OBJECT = fileURLToPath(new URL('../../build/acyclic.bpf.o', import.meta.url));
const MIB = 1 << 20;

let object: BpfObject;
let map: BpfMap;

/** Two halves of 4 MiB. */
beforeAll(async () => {
  object = native().objectOpen(OBJECT);
  for (const { name } of native().objectPrograms(object)) native().objectSetAutoload(object, name, false);
  native().objectSetMaxEntries(object, 'journal', 1 + 2048);
  await native().objectLoad(object);
  map = native().mapOpen(object, 'journal');
});
afterAll(() => {
  native().mapClose(map);
  native().objectClose(object);
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
  const put = (time: number, bytes: Buffer) =>
    journal.append(entry('events', time, bytes), () => {
      turned.push(time);
      journal.append(entry('note', time, Buffer.from('first of a half')), () => {});
    });
  const times = () => [...new Journal(map).entries()].map(({ time }) => time);
  put(1, Buffer.from('odd'));
  expect([...new Journal(map).entries()]).toEqual([entry('events', 1, Buffer.from('odd'))]);
  for (const time of [2, 3, 4]) put(time, Buffer.alloc(MIB, time));
  expect(turned).toEqual([]);
  expect(journal.waits).toBe(false);
  expect(journal.hasRoom(MIB)).toBe(true);
  put(5, Buffer.alloc(MIB, 5));
  expect(turned).toEqual([5]);
  expect(journal.waits).toBe(true);
  expect(times()).toEqual([1, 2, 3, 4, 5, 5]);
  for (const time of [6, 7]) put(time, Buffer.alloc(MIB, time));
  expect(journal.hasRoom(MIB)).toBe(false);
  journal.release();
  expect(times()).toEqual([5, 5, 6, 7]);
  expect(journal.hasRoom(MIB)).toBe(true);
  put(8, Buffer.alloc(MIB, 8));
  expect(times()).toEqual([5, 5, 6, 7, 8, 8]);
  expect([...journal.entries()].at(-1)?.bytes.equals(Buffer.alloc(MIB, 8))).toBe(true);
  expect(() => journal.hasRoom(3 * MIB)).toThrow(RangeError);
});
