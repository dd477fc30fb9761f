import { afterAll, expect, test } from 'vitest';
import { type BpfRing, loadBinding, ringRecords } from '../../src/kernel/binding.ts';
import { makePlaces, thrownBy, until } from './fixtures/fixture.ts';

const native = loadBinding();
const places = makePlaces();
const object = native.objectOpen(places.compile('native'));
await native.objectLoad(object);
const map = native.mapOpen(object, 'ring');

afterAll(async () => {
  native.mapClose(map);
  native.objectClose(object);
  await places.remove();
});

/** Emits records that begin with their number; returns how many the ring had no room for. */
function emit(first: number, count: number, size: number): number {
  const order = Buffer.from(new Uint32Array([first, count, size]).buffer);
  return native.programRunTest(object, 'emit', { ctxIn: order }).retval;
}

function numbersIn(batch: Buffer): number[] {
  return [...ringRecords(batch)].map((record) => record.readUInt32LE(0));
}

function withRing(use: (ring: BpfRing) => void | Promise<void>): Promise<void> {
  const ring = native.ringOpen(map);
  return Promise.resolve(use(ring)).finally(() => native.ringClose(ring));
}

test('records come whole, in order, each on a multiple of 8', () =>
  withRing((ring) => {
    expect(native.ringConsume(ring, 1000)).toHaveLength(0);
    for (const size of [4, 5, 13, 4095]) expect(emit(size, 1, size)).toBe(0);
    const batch = native.ringConsume(ring, 1 << 20);
    const records = [...ringRecords(batch)];
    expect(records.map((record) => record.length)).toEqual([4, 5, 13, 4095]);
    for (const record of records) expect((record.byteOffset - batch.byteOffset) % 8).toBe(0);
    expect(numbersIn(batch)).toEqual([4, 5, 13, 4095]);
  }));

test('no record is lost or doubled, however small the limit', () =>
  withRing((ring) => {
    const seen: number[] = [];
    for (let round = 0; round < 20; round++) {
      expect(emit(round * 700, 700, 20 + round)).toBe(0);
      for (;;) {
        const batch = native.ringConsume(ring, 1 + ((round * 997) % 3000));
        if (batch.length === 0) break;
        seen.push(...numbersIn(batch));
      }
    }
    expect(seen).toEqual(Array.from({ length: 14000 }, (_, i) => i));
  }));

test('a record that goes on at the beginning of the ring is whole', () =>
  withRing((ring) => {
    // 64 KiB hold sixteen of these and a part of the next.
    for (let round = 0; round < 40; round++) {
      const size = 4000 + round;
      expect(emit(round * 16, 16, size)).toBe(0);
      const records = [...ringRecords(native.ringConsume(ring, 1 << 20))];
      const ends = records.map((record) => [record.readUInt32LE(0), record.readUInt32LE(size - 4)]);
      expect(ends).toEqual(Array.from({ length: 16 }, (_, i) => [round * 16 + i, round * 16 + i]));
    }
  }));

test('the limit ends a batch after the record that reaches it', () =>
  withRing((ring) => {
    emit(0, 10, 24);
    expect(numbersIn(native.ringConsume(ring, 1))).toEqual([0]);
    expect(numbersIn(native.ringConsume(ring, 33))).toEqual([1, 2]);
    expect(numbersIn(native.ringConsume(ring, Number.MAX_SAFE_INTEGER))).toHaveLength(7);
    expect(thrownBy(() => native.ringConsume(ring, 0)).code).toBe('EINVAL');
  }));

test('a full ring loses at its entrance, and is whole again when drained', () =>
  withRing((ring) => {
    const lost = emit(0, 4096, 64);
    expect(lost).toBeGreaterThan(0);
    let taken = 0;
    for (
      let batch = native.ringConsume(ring, 1 << 20);
      batch.length > 0;
      batch = native.ringConsume(ring, 1 << 20)
    )
      taken += numbersIn(batch).length;
    expect(taken).toBe(4096 - lost);
    expect(emit(0, 10, 64)).toBe(0);
    expect(numbersIn(native.ringConsume(ring, 1 << 20))).toHaveLength(10);
  }));

test('a watch calls back for what is emitted, once watched at a time', () =>
  withRing(async (ring) => {
    const seen: number[] = [];
    const watch = () =>
      native.ringWatch(ring, () => seen.push(...numbersIn(native.ringConsume(ring, 1 << 20))));
    watch();
    expect(thrownBy(watch).code).toBe('EALREADY');
    native.ringUnref(ring);
    native.ringRef(ring);
    emit(1, 3, 16);
    await until(() => seen.length === 3, 'three records');
    native.ringUnwatch(ring);
    native.ringUnwatch(ring);
    emit(4, 1, 16);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(seen).toEqual([1, 2, 3]);
    expect(thrownBy(() => native.ringRef(ring)).code).toBe('EINVAL');
    watch();
    await until(() => seen.length === 4, 'the record that waited');
  }));

test('a ring may be closed from its own callback', async () => {
  const ring = native.ringOpen(map);
  let calls = 0;
  native.ringWatch(ring, () => {
    calls++;
    native.ringConsume(ring, 1 << 20);
    native.ringClose(ring);
  });
  emit(0, 1, 8);
  await until(() => calls > 0, 'the callback');
  emit(0, 1, 8);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(calls).toBe(1);
  expect(thrownBy(() => native.ringConsume(ring, 1)).code).toBe('EBADF');
  await withRing((next) => {
    native.ringConsume(next, 1 << 20);
  });
});

test('only a ring buffer is one', () => {
  const other = native.mapOpen(object, 'numbers');
  expect(thrownBy(() => native.ringOpen(other)).code).toBe('EINVAL');
  native.mapClose(other);
});
