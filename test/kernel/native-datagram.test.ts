import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { loadBinding } from '../../src/kernel/binding.ts';
import { openDatagrams } from '../../src/kernel/datagrams.ts';
import type { Datagram, Datagrams } from '../../src/model/datagrams.ts';
import { thrownBy } from './fixtures/fixture.ts';

const native = loadBinding();
const opened: Datagrams[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

interface Heard {
  readonly datagrams: Datagrams;
  readonly messages: Datagram[];
  readonly failures: [socket: number, code: string][];
}

function open(): Heard {
  const messages: Datagram[] = [];
  const failures: [number, string][] = [];
  const datagrams = openDatagrams({
    message: (datagram) => messages.push(datagram),
    failed: (socket, code) => failures.push([socket, code]),
  });
  opened.push(datagrams);
  return { datagrams, messages, failures };
}

test.each(['127.0.0.1', '::1'])(
  'a message and its reply come whole, with who sent it: %s',
  async (address) => {
    const here = open();
    const there = open();
    const { socket, port } = here.datagrams.bind(address, 0);
    const near = there.datagrams.connect(address, port);
    const sizes = [0, 1, 7, 8, 9, 1232, 9000, 65_507];
    for (const size of sizes) there.datagrams.send(near, Buffer.alloc(size, size & 0xff));
    await expect.poll(() => here.messages.length).toBe(sizes.length);
    for (const [i, message] of here.messages.entries()) {
      expect(message).toMatchObject({ socket, address });
      expect(message.port).toBeGreaterThan(0);
      const size = sizes[i] ?? -1;
      expect(message.payload.equals(Buffer.alloc(size, size & 0xff))).toBe(true);
      here.datagrams.reply(message, message.payload);
    }
    await expect.poll(() => there.messages.length).toBe(sizes.length);
    expect(there.messages.map(({ payload }) => payload.length)).toEqual(sizes);
    expect(there.messages[0]).toMatchObject({ socket: near, address: '', port: 0 });
    expect([...here.failures, ...there.failures]).toEqual([]);
  },
);

test('thousands go both ways, in order, and none is lost or doubled', async () => {
  const here = open();
  const there = open();
  const { port } = here.datagrams.bind('127.0.0.1', 0);
  const sockets = Array.from({ length: 5 }, () => there.datagrams.connect('127.0.0.1', port));
  for (let i = 0; i < 3000; i++) {
    const payload = Buffer.alloc(4 + (i % 300));
    payload.writeUInt32LE(i);
    there.datagrams.send(sockets[i % 5] ?? 0, payload);
  }
  await expect.poll(() => here.messages.length).toBe(3000);
  for (const message of here.messages) here.datagrams.reply(message, message.payload);
  await expect.poll(() => there.messages.length).toBe(3000);
  for (const [position, socket] of sockets.entries()) {
    const mine = there.messages.filter((message) => message.socket === socket);
    expect(mine.map(({ payload }) => payload.readUInt32LE(0))).toEqual(
      Array.from({ length: 600 }, (_, i) => i * 5 + position),
    );
  }
});

test('a connected socket hears its peer only', async () => {
  const { datagrams, messages } = open();
  const peer = createSocket('udp4').bind(0, '127.0.0.1');
  const stranger = createSocket('udp4').bind(0, '127.0.0.1');
  await Promise.all([once(peer, 'listening'), once(stranger, 'listening')]);
  const socket = datagrams.connect('127.0.0.1', peer.address().port);
  datagrams.send(socket, Buffer.from('hello'));
  const [, from] = await once(peer, 'message');
  stranger.send('forged', from.port, from.address, () => peer.send('right', from.port, from.address));
  await expect.poll(() => messages.length).toBe(1);
  expect(messages[0]?.payload.toString()).toBe('right');
  peer.close();
  stranger.close();
});

test('a peer that is not there is told, and so is a socket that was removed', async () => {
  const { datagrams, failures } = open();
  const socket = datagrams.connect('127.0.0.1', 9);
  datagrams.send(socket, Buffer.from('x'));
  await expect.poll(() => failures).toEqual([[socket, 'ECONNREFUSED']]);
  datagrams.remove(socket);
  datagrams.send(socket, Buffer.from('x'));
  await expect.poll(() => failures.at(-1)).toEqual([socket, 'EBADF']);
  const { socket: bound } = datagrams.bind('127.0.0.1', 0);
  datagrams.send(bound, Buffer.from('to nobody'));
  await expect.poll(() => failures.at(-1)).toEqual([bound, 'EDESTADDRREQ']);
});

test('numbers are not used again, and what waits is sent before its socket is removed', async () => {
  const { datagrams } = open();
  const here = open();
  const { port } = here.datagrams.bind('127.0.0.1', 0);
  const numbers = new Set<number>();
  for (let i = 0; i < 3000; i++) {
    const socket = datagrams.connect('127.0.0.1', port);
    numbers.add(socket);
    if (i % 100 === 0) datagrams.send(socket, Buffer.from('last words'));
    datagrams.remove(socket);
  }
  expect(numbers.size).toBe(3000);
  await expect.poll(() => here.messages.length).toBe(30);
});

test('what nobody reads in time is counted', async () => {
  const set = native.datagramsOpen();
  const { socket, port } = native.datagramsBind(set, '127.0.0.1', 0, 4096);
  const sender = createSocket('udp4');
  for (let i = 0; i < 200; i++)
    await new Promise((sent) => sender.send('x'.repeat(500), port, '127.0.0.1', sent));
  const dropped = native.datagramsDropped(set, socket);
  let held = 0;
  for (let batch = native.datagramsReceive(set); batch.length > 0; batch = native.datagramsReceive(set)) {
    held += batch.length / (32 + 504);
  }
  expect(dropped).toBeGreaterThan(100);
  expect(held + dropped).toBe(200);
  sender.close();
  native.datagramsClose(set);
});

test('a burst of thousands is held, past what the host gives a socket by itself', async () => {
  const { datagrams, messages } = open();
  const { socket, port } = datagrams.bind('127.0.0.1', 0);
  const there = open();
  const near = there.datagrams.connect('127.0.0.1', port);
  for (let i = 0; i < 4000; i++) there.datagrams.send(near, Buffer.alloc(60));
  await expect.poll(() => messages.length).toBe(4000);
  expect(datagrams.dropped(socket)).toBe(0);
});

test('addresses, ports and numbers that are none are refused, and so is the 1025th socket', () => {
  const set = native.datagramsOpen();
  for (const address of ['', 'localhost', '127.1', '1.2.3.4.5', '::g', '127.0.0.1:53']) {
    expect(thrownBy(() => native.datagramsConnect(set, address, 53, 0))).toMatchObject({ code: 'EINVAL' });
  }
  for (const port of [-1, 65_536, 1.5]) {
    expect(thrownBy(() => native.datagramsConnect(set, '127.0.0.1', port, 0))).toBeInstanceOf(TypeError);
  }
  expect(thrownBy(() => native.datagramsBind(set, '192.0.2.1', 0, 0))).toMatchObject({
    code: 'EADDRNOTAVAIL',
  });
  expect(native.datagramsRemove(set, 77)).toBe(false);
  expect(thrownBy(() => native.datagramsDropped(set, 77))).toMatchObject({ code: 'EBADF' });
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 1024; i++) native.datagramsConnect(set, '127.0.0.1', 53, 0);
  expect(thrownBy(() => native.datagramsConnect(set, '127.0.0.1', 53, 0))).toMatchObject({ code: 'ENFILE' });
  native.datagramsClose(set);
  expect(readdirSync('/proc/self/fd').length).toBeLessThan(before);
  expect(thrownBy(() => native.datagramsReceive(set))).toMatchObject({ code: 'EBADF' });
});

test('a batch that lies about its lengths is refused, and nothing is read past its end', () => {
  const set = native.datagramsOpen();
  const socket = native.datagramsConnect(set, '127.0.0.1', 9, 0);
  const record = (length: number, bytes: number) => {
    const batch = Buffer.alloc(32 + bytes);
    batch.writeUInt32LE(length, 0);
    batch.writeUInt32LE(socket, 4);
    return batch;
  };
  for (const batch of [record(1, 0), record(9, 8), record(0xffff_ffff, 8), Buffer.alloc(31), record(8, 7)]) {
    expect(thrownBy(() => native.datagramsSend(set, batch))).toBeInstanceOf(TypeError);
  }
  expect(native.datagramsSend(set, record(8, 8))).toBeNull();
  expect(native.datagramsSend(set, Buffer.alloc(0))).toBeNull();
  native.datagramsClose(set);
});
