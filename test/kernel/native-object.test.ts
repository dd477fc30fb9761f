import { openSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BpfObject, loadBinding } from '../../src/kernel/binding.ts';
import { command, ended, makePlaces, thrownBy } from './fixtures/fixture.ts';

const native = loadBinding();
const places = makePlaces();
const objectPath = places.compile('native');
let server: Server;
let port = 0;

beforeAll(async () => {
  server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as { port: number }).port;
});
afterAll(async () => {
  server.close();
  await places.remove();
});

async function loaded(deniedPort = 0): Promise<BpfObject> {
  const object = native.objectOpen(objectPath);
  const value = Buffer.alloc(2);
  value.writeUInt16LE(deniedPort);
  native.objectSetGlobals(object, '.rodata', value, 0);
  await native.objectLoad(object);
  return object;
}

async function rejectionOf(promise: Promise<void>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('it was not rejected');
}

/** Connects from a child in the cgroup; 0 when it was let through. */
async function connectIn(cgroupFd: number): Promise<number | undefined> {
  const script = `exec 2>/dev/null 3<>/dev/tcp/127.0.0.1/${port}`;
  const child = native.spawn(command(['/bin/bash', '--norc', '-c', script], { cgroupFd }));
  return (await ended(native, child))?.value;
}

test('an object lists its programs with their sections', () => {
  const object = native.objectOpen(objectPath);
  expect(native.objectPrograms(object)).toContainEqual({ name: 'connect4', section: 'cgroup/connect4' });
  native.objectClose(object);
});

test('a missing or unreadable object is an error with the cause, not a crash', () => {
  expect(thrownBy(() => native.objectOpen('/nonexistent.o'))).toMatchObject({ code: 'ENOENT', errno: 2 });
  const junk = join(places.compile('native'), '..', 'junk.o');
  writeFileSync(junk, 'not an ELF file');
  expect(thrownBy(() => native.objectOpen(junk)).message).toMatch(/ELF|format/i);
});

test('a refused program names itself, the cause and the whole log', async () => {
  const object = native.objectOpen(places.compile('refused'));
  const error = await rejectionOf(native.objectLoad(object));
  expect(error).toMatchObject({ code: 'EACCES', errno: 13, syscall: 'objectLoad', program: 'unchecked' });
  expect(error.message).toContain("invalid mem access 'map_value_or_null'");
  expect(error.message).not.toContain('\n');
  expect(String(error.log).split('\n').length).toBeGreaterThan(5);
  expect(error.log).toContain('processed');
  // What failed once stays failed.
  expect(thrownBy(() => native.objectLoad(object)).code).toBe('EBUSY');
  expect(thrownBy(() => native.mapOpen(object, 'values')).code).toBe('EINVAL');
  native.objectClose(object);
});

test('a link on a cgroup decides for its processes, and for no other', async () => {
  const object = await loaded(port);
  const inside = places.cgroup();
  const outside = places.cgroup();
  const link = native.linkAttachCgroup(object, 'connect4', inside.fd);
  expect(await connectIn(inside.fd)).toBe(1);
  expect(await connectIn(outside.fd)).toBe(0);
  native.linkClose(link);
  expect(await connectIn(inside.fd)).toBe(0);
  native.objectClose(object);
});

test('a pinned link outlives its handle and its object, and is updated in place', async () => {
  const object = await loaded(port);
  const { fd } = places.cgroup();
  const pin = join(places.pins, 'link');
  const link = native.linkAttachCgroup(object, 'connect4', fd);
  native.linkPin(link, pin);
  native.linkClose(link);
  native.objectClose(object);
  expect(statSync(pin).isFile()).toBe(true);
  expect(await connectIn(fd)).toBe(1);

  const next = await loaded();
  const reopened = native.linkOpenPinned(pin);
  native.linkUpdate(reopened, next, 'connect4_open');
  expect(await connectIn(fd)).toBe(0);
  native.linkClose(reopened);
  native.objectClose(next);
});

test('what is pinned is opened only as what it is', async () => {
  const object = await loaded();
  const map = native.mapOpen(object, 'numbers');
  native.mapPin(map, join(places.pins, 'map'));
  native.programPin(object, 'connect4', join(places.pins, 'program'));
  expect(thrownBy(() => native.mapPin(map, join(places.pins, 'map'))).code).toBe('EEXIST');
  expect(thrownBy(() => native.linkOpenPinned(join(places.pins, 'map'))).code).toBe('EINVAL');
  expect(thrownBy(() => native.mapOpenPinned(join(places.pins, 'program'))).code).toBe('EINVAL');
  expect(thrownBy(() => native.mapOpenPinned(join(places.pins, 'none'))).code).toBe('ENOENT');
  native.mapClose(map);
  native.objectClose(object);
});

test('tracepoints of either kind see calls until their link is closed', async () => {
  const object = await loaded();
  const calls = native.mapOpen(object, 'calls');
  const count = () => {
    const values = native.mapLookup(calls, Buffer.alloc(4));
    let sum = 0;
    for (let at = 0; values && at < values.length; at += 8) sum += values.readUInt32LE(at);
    return sum;
  };
  const links = [native.linkAttach(object, 'enter_getppid'), native.linkAttach(object, 'raw_exec')];
  const before = count();
  for (let i = 0; i < 3; i++) void process.ppid;
  expect(count()).toBeGreaterThanOrEqual(before + 3);
  for (const link of links) native.linkClose(link);
  const after = count();
  void process.ppid;
  expect(count()).toBe(after);
  expect(thrownBy(() => native.linkAttach(object, 'connect4')).code).toBe('EOPNOTSUPP');
  native.mapClose(calls);
  native.objectClose(object);
});

test('an object takes over a pinned map of the same layout, and refuses another', async () => {
  const first = await loaded();
  const map = native.mapOpen(first, 'numbers');
  const pin = join(places.pins, 'numbers');
  native.mapPin(map, pin);
  const key = Buffer.from([1, 0, 0, 0]);
  native.mapUpdate(map, key, Buffer.alloc(8, 7));

  const second = native.objectOpen(objectPath);
  expect(thrownBy(() => native.objectReuseMap(second, 'calls', pin)).code).toBe('EINVAL');
  native.objectReuseMap(second, 'numbers', pin);
  await native.objectLoad(second);
  expect(native.mapLookup(native.mapOpen(second, 'numbers'), key)).toEqual(Buffer.alloc(8, 7));
  native.objectClose(first);
  native.objectClose(second);
});

test('what is set before the load holds, and nothing can be set after', async () => {
  const object = native.objectOpen(objectPath);
  native.objectSetMaxEntries(object, 'numbers', 5);
  native.objectSetAutoload(object, 'connect4', false);
  expect(thrownBy(() => native.objectSetGlobals(object, '.rodata', Buffer.alloc(2), 1 << 20)).code).toBe(
    'ERANGE',
  );
  expect(thrownBy(() => native.objectSetGlobals(object, 'numbers', Buffer.alloc(2), 0)).code).toBe('EINVAL');
  const loading = native.objectLoad(object);
  // The thread that loads has it to itself.
  expect(thrownBy(() => native.objectClose(object)).code).toBe('EBUSY');
  expect(thrownBy(() => native.mapOpen(object, 'numbers')).code).toBe('EBUSY');
  expect(thrownBy(() => native.objectPrograms(object)).code).toBe('EBUSY');
  expect(thrownBy(() => native.objectLoad(object)).code).toBe('EBUSY');
  await loading;
  expect(native.mapInfo(native.mapOpen(object, 'numbers')).maxEntries).toBe(5);
  expect(thrownBy(() => native.programPin(object, 'connect4', join(places.pins, 'x'))).code).toBe('EINVAL');
  expect(thrownBy(() => native.objectSetGlobals(object, '.rodata', Buffer.alloc(2), 0)).code).toBe('EBUSY');
  expect(thrownBy(() => native.objectSetMaxEntries(object, 'numbers', 6)).code).toBe('EBUSY');
  expect(thrownBy(() => native.objectLoad(object)).code).toBe('EBUSY');
  native.objectClose(object);
});

test('a test run gives the return value and the data', async () => {
  const object = await loaded();
  const run = (length: number) =>
    native.programRunTest(object, 'egress', { dataIn: Buffer.alloc(length), repeat: 3 });
  expect(run(60).retval).toBe(0);
  expect(run(200).retval).toBe(1);
  expect(run(200).dataOut).toHaveLength(200);
  expect(thrownBy(() => native.programRunTest(object, 'connect4', {})).code).toBe('ENOTSUPP');
  native.objectClose(object);
});

test('attaching to what is no cgroup is refused', async () => {
  const object = await loaded();
  const fd = openSync('/dev/null', 'r');
  expect(thrownBy(() => native.linkAttachCgroup(object, 'connect4', fd)).code).toBe('EBADF');
  expect(thrownBy(() => native.linkAttachCgroup(object, 'nobody', fd)).code).toBe('ENOENT');
  native.closeFd(fd);
  native.objectClose(object);
});
