import { afterAll, expect, test } from 'vitest';
import { loadBinding } from '../../src/kernel/binding.ts';
import { makePlaces, thrownBy } from './fixtures/fixture.ts';

const native = loadBinding();
const places = makePlaces();
const object = native.objectOpen(places.compile('native'));
await native.objectLoad(object);

afterAll(async () => {
  native.objectClose(object);
  await places.remove();
});

/** `count` keys or values from a number on, each `size` bytes. */
function numbers(count: number, size: number, from = 0): Buffer {
  const buffer = Buffer.alloc(count * size);
  for (let i = 0; i < count; i++) buffer.writeUInt32LE(from + i, i * size);
  return buffer;
}

test('a map says what it is', () => {
  const map = native.mapOpen(object, 'numbers');
  expect(native.mapInfo(map)).toMatchObject({
    name: 'numbers',
    type: 1,
    keySize: 4,
    valueSize: 8,
    maxEntries: 1024,
  });
  native.mapClose(map);
  expect(thrownBy(() => native.mapInfo(map)).code).toBe('EBADF');
  expect(thrownBy(() => native.mapOpen(object, 'nobody')).code).toBe('ENOENT');
});

test('entries are set, read, kept apart by flags, and deleted', () => {
  const map = native.mapOpen(object, 'numbers');
  const key = numbers(1, 4, 77);
  expect(native.mapLookup(map, key)).toBeNull();
  native.mapUpdate(map, key, numbers(1, 8, 5));
  expect(native.mapLookup(map, key)).toEqual(numbers(1, 8, 5));
  expect(thrownBy(() => native.mapUpdate(map, key, numbers(1, 8), 1))).toMatchObject({
    code: 'EEXIST',
    errno: 17,
  });
  expect(native.mapDelete(map, key)).toBe(true);
  expect(native.mapDelete(map, key)).toBe(false);
  expect(thrownBy(() => native.mapUpdate(map, Buffer.alloc(3), numbers(1, 8))).code).toBe('EINVAL');
  expect(thrownBy(() => native.mapUpdate(map, key, numbers(1, 4))).code).toBe('EINVAL');
  native.mapClose(map);
});

test('an entry is taken once, and is gone', () => {
  const map = native.mapOpen(object, 'numbers');
  native.mapUpdate(map, numbers(1, 4, 5), numbers(1, 8, 6));
  expect(native.mapTake(map, numbers(1, 4, 5))).toEqual(numbers(1, 8, 6));
  expect(native.mapTake(map, numbers(1, 4, 5))).toBeNull();
  expect(native.mapLookup(map, numbers(1, 4, 5))).toBeNull();
  expect(thrownBy(() => native.mapTake(map, Buffer.alloc(3))).code).toBe('EINVAL');
  native.mapClose(map);
});

test('an iterator is run over the map it was attached to, as it is at that moment', () => {
  const map = native.mapOpen(object, 'numbers');
  const link = native.linkAttach(object, 'each_third', map);
  expect(native.linkRead(link, 1 << 20)).toHaveLength(0);
  native.mapUpdateBatch(map, numbers(100, 4), numbers(100, 8), 100);
  const read = native.linkRead(link, 1 << 20);
  const counts = new Map<number, number>();
  for (let at = 0; at < read.length; at += 4) {
    const key = read.readUInt32LE(at);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  expect([...counts.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 34 }, (_, i) => i * 3));
  expect(new Set(counts.values())).toEqual(new Set([1000]));
  expect(thrownBy(() => native.linkRead(link, 1000)).code).toBe('E2BIG');
  native.mapDeleteBatch(map, numbers(100, 4), 100);
  native.linkClose(link);
  expect(thrownBy(() => native.linkRead(link, 1000)).code).toBe('EBADF');
  // Over a map alone: what it needs is not guessed.
  expect(thrownBy(() => native.linkAttach(object, 'each_third')).code).toBe('EBADF');
  native.mapClose(map);
});

test('batches go through up to the entry that does not fit, and say how many', () => {
  const map = native.mapOpen(object, 'numbers');
  native.mapUpdateBatch(map, numbers(1000, 4), numbers(1000, 8, 9), 1000);
  const keys = native.mapKeys(map, 5000);
  expect(new Set(Array.from({ length: 1000 }, (_, i) => keys.readUInt32LE(i * 4))).size).toBe(1000);
  expect(keys).toHaveLength(4000);
  expect(native.mapKeys(map, 3)).toHaveLength(12);
  expect(native.mapKeys(map, 3, keys.subarray(8, 12))).toEqual(keys.subarray(12, 24));
  expect(native.mapKeys(map, 3, keys.subarray(-8, -4))).toEqual(keys.subarray(-4));
  expect(native.mapKeys(map, 3, keys.subarray(-4))).toHaveLength(0);
  expect(thrownBy(() => native.mapKeys(map, 3, keys.subarray(0, 3))).code).toBe('EINVAL');
  const error = thrownBy(() => native.mapUpdateBatch(map, numbers(100, 4, 5000), numbers(100, 8), 100));
  expect(error).toMatchObject({ code: 'E2BIG', done: 24 });
  native.mapDeleteBatch(map, numbers(9000, 4), 9000);
  expect(native.mapKeys(map, 5000)).toHaveLength(0);
  expect(thrownBy(() => native.mapUpdateBatch(map, numbers(2, 4), numbers(1, 8), 2)).code).toBe('EINVAL');
  expect(thrownBy(() => native.mapDeleteBatch(map, numbers(1, 4), 2 ** 32 - 1)).code).toBe('EINVAL');
  native.mapClose(map);
});

test('a per-CPU map gives one value for each CPU, rounded up to 8 bytes', () => {
  const map = native.mapOpen(object, 'calls');
  const values = native.mapLookup(map, numbers(1, 4));
  expect(values?.length).toBeGreaterThanOrEqual(8);
  expect((values?.length ?? 1) % 8).toBe(0);
  native.mapUpdate(map, numbers(1, 4), numbers((values?.length ?? 0) / 8, 8, 3));
  expect(native.mapLookup(map, numbers(1, 4))?.readUInt32LE(0)).toBe(3);
  native.mapClose(map);
});

test('mapped memory is the map itself, also when its handle is closed', () => {
  const map = native.mapOpen(object, 'shared');
  const memory = native.mapMmap(map);
  expect(memory.byteLength).toBe(32);
  native.mapUpdate(map, numbers(1, 4, 1), numbers(3, 4, 40));
  const words = new Uint32Array(memory);
  expect([...words.subarray(4, 7)]).toEqual([40, 41, 42]);
  words[0] = 6;
  expect(native.mapLookup(map, numbers(1, 4))?.readUInt32LE(0)).toBe(6);
  native.mapClose(map);
  words[1] = 8;
  const again = native.mapOpen(object, 'shared');
  expect(native.mapLookup(again, numbers(1, 4))?.readUInt32LE(4)).toBe(8);
  native.mapClose(again);
  expect(thrownBy(() => native.mapMmap(native.mapOpen(object, 'numbers'))).code).toBe('EINVAL');
  expect(thrownBy(() => native.mapMmap(native.mapOpen(object, 'ring'))).code).toBe('EINVAL');
});

test('a map lives on when its object is closed', async () => {
  const other = native.objectOpen(places.compile('native'));
  await native.objectLoad(other);
  const map = native.mapOpen(other, 'numbers');
  native.objectClose(other);
  native.objectClose(other);
  native.mapUpdate(map, numbers(1, 4), numbers(1, 8, 1));
  expect(native.mapLookup(map, numbers(1, 4))).toEqual(numbers(1, 8, 1));
  native.mapClose(map);
  native.mapClose(map);
});
