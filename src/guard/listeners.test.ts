import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AttemptRecord } from '../kernel/records.ts';
import { Listeners } from './listeners.ts';

const server = createServer();
let call: AttemptRecord;
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  call = { address: '127.0.0.1', port, protocol: 6, elsewhere: false } as AttemptRecord;
});
afterAll(() => {
  server.close();
});

const listeners = (patienceMs?: number) =>
  new Listeners({
    ...{ cgroup: '/sys/fs/cgroup/acyclic-none', own: new Set<string>() },
    ...(patienceMs === undefined ? {} : { patienceMs }),
  });

test('who listens at a loopback address is found', () => {
  // A busy machine may take longer than the product waits.
  expect(listeners(10_000).behind(call)).toMatchObject({ pid: process.pid });
});

test('searching ends when its time is up, and finds nobody', () => {
  expect(listeners(-1).behind(call)).toBeNull();
});

test('what searches have taken is taken off the time of the next', () => {
  const searching = listeners(10);
  const until = performance.now() + 200;
  for (let port = 1; performance.now() < until; port++) {
    searching.behind({ ...call, port: port % 65_536 });
  }
  expect(searching.behind(call)).toBeNull();
});

test('an address of no host of ours, and a socket elsewhere, are not searched for', () => {
  expect(listeners().behind({ ...call, address: '192.0.2.1' })).toBeNull();
  expect(listeners().behind({ ...call, elsewhere: true })).toBeNull();
});
