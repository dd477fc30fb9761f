import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { AttemptRecord } from '../kernel/records.ts';
import { Listeners } from './listeners.ts';

const LISTENING =
  "const s = require('net').createServer().listen(0, '127.0.0.1', () => console.log(s.address().port))";

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

const run = { cgroup: '/sys/fs/cgroup/acyclic-none', own: new Set<string>() };

test('who listens at a loopback address is found', () => {
  // A busy machine may take longer than the product waits.
  expect(new Listeners({ patienceMs: 10_000 }).behind(call, run)).toMatchObject({ pid: process.pid });
});

test('searching ends when its time is up, and finds nobody', () => {
  expect(new Listeners({ patienceMs: -1 }).behind(call, run)).toBeNull();
});

test('what the searches of one run have taken is taken off the time of the next, of whichever run', () => {
  const searching = new Listeners({ patienceMs: 10 });
  const until = performance.now() + 200;
  for (let port = 1; performance.now() < until; port++) {
    const one = { ...run, cgroup: `/sys/fs/cgroup/acyclic-${port}` };
    searching.behind({ ...call, port: port % 65_536 }, one);
  }
  expect(searching.behind(call, run)).toBeNull();
});

test('what is found holds for every run as long as it listens', async () => {
  const searching = new Listeners({ patienceMs: 10_000 });
  const child = spawn(process.execPath, ['-e', LISTENING], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [port] = await once(child.stdout, 'data');
  const there = { ...call, port: Number(port) };
  expect(searching.behind(there, run)).toMatchObject({ pid: child.pid });
  const start = performance.now();
  for (let i = 0; i < 100; i++) searching.behind(there, { ...run, cgroup: `/sys/fs/cgroup/acyclic-${i}` });
  expect(performance.now() - start).toBeLessThan(100);
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(searching.behind(there, run)).toBeNull();
});

test('an address of no host of ours, and a socket elsewhere, are not searched for', () => {
  expect(new Listeners().behind({ ...call, address: '192.0.2.1' }, run)).toBeNull();
  expect(new Listeners().behind({ ...call, elsewhere: true }, run)).toBeNull();
});
