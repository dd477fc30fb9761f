import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterEach, expect, test } from 'vitest';
import { Client, socketPath } from '../../src/daemon/client.ts';
import { makeDirectory, removeAll, serve } from './harness.ts';

const undo: (() => void)[] = [];

afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
  removeAll();
});

/** A socket that answers each connection with these bytes; null: with silence. */
async function answering(bytes: string | null, then: 'end' | 'stay' = 'end'): Promise<string> {
  const path = join(makeDirectory(), 'socket');
  const server = createServer((socket: Socket) => {
    undo.push(() => socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    if (bytes !== null) socket.write(bytes);
    if (bytes !== null && then === 'end') socket.end();
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  undo.push(() => server.close());
  return path;
}

const ask = (path: string, timeoutMs = 5000) => new Client(path).request('GET', '/v1/status', { timeoutMs });
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: ';

test('no daemon, a silent one, and one that ends too soon or talks nonsense are told apart', async () => {
  await expect(ask('/nonexistent/socket')).rejects.toMatchObject({ code: 'no-daemon' });
  await expect(ask(await answering(null), 200)).rejects.toMatchObject({ code: 'daemon-silent' });
  await expect(ask(await answering(''))).rejects.toMatchObject({ code: 'daemon-gone' });
  await expect(ask(await answering(`${OK}10\r\n\r\n{"a":`))).rejects.toMatchObject({ code: 'daemon-gone' });
  await expect(ask(await answering('220 smtp ready\r\n\r\n'))).rejects.toMatchObject({ code: 'daemon-gone' });
  await expect(ask(await answering(`${OK}1\r\n\r\n{`))).rejects.toMatchObject({ code: 'daemon-gone' });
  await expect(
    ask(await answering(`${OK}999999999\r\n\r\n${'x'.repeat(1 << 20)}`, 'stay'), 300),
  ).rejects.toMatchObject({ code: 'daemon-silent' });
});

test('an answer that is an error has its code, message and remedy', async () => {
  const { path } = await serve();
  await expect(new Client(path).request('GET', '/v1/nothing')).rejects.toMatchObject({
    ...{ name: 'DaemonAnswer', status: 404, code: 'not-found', remedy: 'see docs/api.md' },
    message: 'there is no /v1/nothing',
  });
});

test('a stream is open before it has messages, and ends with the reader', async () => {
  const served = await serve();
  let opened = 0;
  const stop = new AbortController();
  const stream = new Client(served.path).events('/v1/events', {
    signal: stop.signal,
    opened: () => {
      opened += 1;
    },
  });
  const first = stream.next();
  while (opened === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await served.say(3, 10, 0);
  expect((await first).value?.message.kind).toBe('event');
  expect((await stream.next()).value?.message.kind).toBe('event');
  stop.abort();
  const rest = [];
  for await (const { message } of stream) rest.push(message.kind);
  expect(rest.length).toBeLessThanOrEqual(1);
  expect(opened).toBe(1);
  while ((await served.say(0, 0, 0)).readers > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

test('a daemon that dies ends its streams with a failure, and one that stops with their end', async () => {
  const killed = await serve();
  const broken = new Client(killed.path).events('/v1/events', {
    opened: () => killed.process.kill('SIGKILL'),
  });
  await expect(broken.next()).rejects.toMatchObject({ code: 'daemon-gone' });
  const stopped = await serve();
  const ended = new Client(stopped.path).events('/v1/events', { opened: () => void stopped.stop() });
  expect(await ended.next()).toEqual({ done: true, value: undefined });
});

test('a stream that is refused is an error', async () => {
  const { path } = await serve();
  const stream = new Client(path).events('/v1/runs/01KAR2RZ0000000000000000ZZ/events');
  await expect(stream.next()).rejects.toMatchObject({ status: 404, code: 'not-found' });
});

test('the socket is the one given, or that of the environment, or the usual one', () => {
  expect(socketPath('/a')).toBe('/a');
  process.env.ACYCLIC_SOCKET = '/b';
  expect(socketPath(null)).toBe('/b');
  delete process.env.ACYCLIC_SOCKET;
  expect(socketPath(null)).toBe('/run/acyclic/acyclic.sock');
});

test('the client starts fast: it loads node:net, and no package', async () => {
  const entry = fileURLToPath(new URL('../../src/daemon/client.ts', import.meta.url));
  const { metafile } = await build({
    ...{ entryPoints: [entry], bundle: true, write: false, metafile: true },
    ...{ platform: 'node', format: 'esm', logLevel: 'error' },
  });
  const loaded = Object.values(metafile.outputs).flatMap(({ inputs, imports }) => [
    ...Object.keys(inputs).filter((path) => !path.startsWith('src/daemon/')),
    ...imports.map(({ path }) => path),
  ]);
  expect(loaded).toEqual(['node:net']);
});
