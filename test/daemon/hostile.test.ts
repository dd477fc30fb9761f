import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Client } from '../../src/daemon/client.ts';
import { ask, exchange, MEMBER, open, removeAll, type Served, serve } from './harness.ts';

const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  removeAll();
});

/** Others are served, and soon. */
async function stillServes({ path, process: { exitCode } }: Served): Promise<void> {
  const begun = performance.now();
  expect(await new Client(path).request('GET', '/v1/status', { timeoutMs: 5000 })).toMatchObject({
    mode: 'daemon',
  });
  expect(performance.now() - begun).toBeLessThan(1000);
  expect(exitCode).toBeNull();
}

const HEAD = 'Host: acyclic\r\nContent-Type: application/json\r\n';

test.each([
  ['noise', '\0\x01\xff'.repeat(10_000)],
  ['no request', 'hello\r\n\r\n'],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['a head without end', `GET /v1/status HTTP/1.1\r\n${'X: y\r\n'.repeat(100_000)}`],
  ['a head line without end', `GET /${'a'.repeat(1 << 20)}`],
  [
    'two lengths',
    `POST /v1/entries HTTP/1.1\r\n${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  ['a length below zero', `POST /v1/entries HTTP/1.1\r\n${HEAD}Content-Length: -5\r\n\r\n`],
  ['a chunk of no size', `POST /v1/entries HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
  ['JSON that is none', `POST /v1/entries HTTP/1.1\r\n${HEAD}Content-Length: 1\r\n\r\n{`],
  ['JSON of great depth', request('['.repeat(500_000))],
  ['a body that is no UTF-8', `POST /v1/entries HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\n\xff\xfe`],
  ['a host that is none', 'GET /v1/status HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
  ['a route that is none', 'GET /v1/../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  ['a method that is none', `BREW /v1/status HTTP/1.1\r\n${HEAD}\r\n`],
  ['a tunnel', `CONNECT 127.0.0.1:22 HTTP/1.1\r\n${HEAD}\r\n`],
  [
    'another protocol',
    `GET /v1/status HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n`,
  ],
])('%s does it no harm', async (_, bytes) => {
  const served = await serve();
  const answer = await exchange(served.path, bytes, 1000).catch(String);
  expect(answer).not.toMatch(/^HTTP\/1.1 5/);
  await stillServes(served);
});

function request(body: string, route = '/v1/entries'): string {
  return `POST ${route} HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

test('a request without a host is served: there is but one', async () => {
  const { path } = await serve();
  expect(await exchange(path, 'GET /v1/status HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 200 /);
});

test('what is no route says so, and what has another method too', async () => {
  const { path } = await serve();
  const close = 'Host: a\r\nConnection: close\r\n\r\n';
  expect(await exchange(path, `GET /v2/status HTTP/1.1\r\n${close}`)).toMatch(
    /^HTTP\/1.1 404 [\s\S]*"not-found"/,
  );
  expect(await exchange(path, `PUT /v1/status HTTP/1.1\r\n${close}`)).toMatch(
    /^HTTP\/1.1 405 [\s\S]*"method"/,
  );
});

/** Sends a body of 100 MB, to its end or until the connection ends; gives what was answered meanwhile. */
async function sendMuch(served: Served, how: string): Promise<string> {
  const socket = await open(served.path);
  sockets.push(socket);
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  socket.on('error', () => {});
  const size = 100 << 20;
  const length = how === 'in chunks' ? 'Transfer-Encoding: chunked' : `Content-Length: ${size}`;
  socket.write(`POST /v1/entries HTTP/1.1\r\n${HEAD}${length}\r\n\r\n`);
  const piece = 'x'.repeat(1 << 16);
  const sent = how === 'in chunks' ? `${piece.length.toString(16)}\r\n${piece}\r\n` : piece;
  for (let at = 0; at < size && !socket.destroyed; at += piece.length) {
    const drained = socket.write(sent) || new Promise((resolve) => socket.once('drain', resolve));
    await Promise.race([drained, sleep(50)]);
    if (at % (32 << 20) === 0) await stillServes(served);
  }
  return answer;
}

test.each(['with its length', 'in chunks'])('a body of 100 MB %s is refused, and not kept', async (how) => {
  const served = await serve();
  const before = await served.say(0, 0, 0);
  for (let times = 0; times < 3; times++)
    expect(await sendMuch(served, how)).toMatch(/^HTTP\/1.1 413 [\s\S]*"too-large"/);
  expect((await served.say(0, 0, 0)).rss - before.rss).toBeLessThan(100 << 20);
});

test('slow clients are cut, and half-closed ones, and hold up nobody', async () => {
  const served = await serve({ bounds: { headMs: 1000, requestMs: 2000, idleMs: 3000, keepAliveMs: 1000 } });
  const status = `GET /v1/status HTTP/1.1\r\n${HEAD}`;
  const beginnings = [
    '',
    'G',
    status,
    `POST /v1/entries HTTP/1.1\r\n${HEAD}Content-Length: 100\r\n\r\n{`,
    `${status}\r\n`,
  ];
  const opened = await Promise.all(Array.from({ length: 100 }, () => open(served.path)));
  sockets.push(...opened);
  const ends = opened.map((socket, index) => {
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.resume();
    socket.write(beginnings[index % beginnings.length] ?? '');
    if (index % 2 === 0) socket.end();
    return ended;
  });
  const drip = setInterval(() => {
    for (const socket of opened) if (socket.writable) socket.write('a');
  }, 200);
  await stillServes(served);
  await Promise.all(ends);
  clearInterval(drip);
  await stillServes(served);
});

test('who half-closes after a request has its answer all the same', async () => {
  const { path } = await serve();
  const socket = await open(path);
  sockets.push(socket);
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  const ended = new Promise((resolve) => socket.once('close', resolve));
  socket.end(`GET /v1/status HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`);
  await ended;
  expect(answer).toMatch(/^HTTP\/1.1 200 /);
});

/** The kernel says EAGAIN while the listener's queue is full. */
async function openAtLast(path: string): Promise<Socket> {
  for (;;) {
    try {
      return await open(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await sleep(5);
    }
  }
}

test('10,000 connections of one user leave room for the others', async () => {
  const served = await serve();
  const { path } = served;
  const flood = Array.from({ length: 100 }, async () => {
    for (let index = 0; index < 100; index++) {
      const socket = await openAtLast(path);
      socket.on('error', () => {});
      socket.resume();
      sockets.push(socket);
    }
  });
  const during = ask(MEMBER, path, 'GET', '/v1/status').catch((error) => error);
  await Promise.all(flood);
  expect(sockets.length).toBe(10_000);
  await during;
  expect(served.process.exitCode).toBeNull();
  for (const socket of sockets.splice(0)) socket.destroy();
  await sleep(200);
  await stillServes(served);
  expect(await ask(MEMBER, path, 'GET', '/v1/status')).toMatchObject({ answer: { mode: 'daemon' } });
});

test('one user has no more connections than its share, and root always has some', async () => {
  const served = await serve({ bounds: { connections: 8, connectionsOfUser: 3, connectionsOfRoot: 2 } });
  const hold = (uid: number) => holdConnections(served, uid, 5);
  expect(await hold(40_011)).toEqual(['open', 'open', 'open', 'busy', 'busy']);
  expect(await hold(40_012)).toEqual(['open', 'open', 'open', 'busy', 'busy']);
  expect(await hold(40_013)).toEqual(['busy', 'busy', 'busy', 'busy', 'busy']);
  await stillServes(served);
});

/** Opens so many connections as a user, and says of each what became of it; they stay until the test is over. */
async function holdConnections({ path }: Served, uid: number, count: number): Promise<string[]> {
  const program = `
    const { connect } = require('node:net');
    (async () => {
      for (let n = 0; n < ${count}; n++) {
        const socket = connect(${JSON.stringify(path)});
        socket.on('error', () => {});
        console.log(await new Promise((tell) => {
          socket.once('data', (data) => tell(String(data).includes('"busy"') ? 'busy' : 'other'));
          setTimeout(tell, 300, 'open');
        }));
      }
    })();`;
  const as = ['--reuid', `${uid}`, '--regid', `${MEMBER.gid}`, '--clear-groups', process.execPath];
  const child = spawn('setpriv', [...as, '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  sockets.push({ destroy: () => child.kill('SIGKILL') } as unknown as Socket);
  let text = '';
  for await (const data of child.stdout) {
    text += data;
    if (text.split('\n').length > count) break;
  }
  return text.trim().split('\n');
}

test('a user who asks too often is told to wait, and others are served', async () => {
  const served = await serve({ bounds: { burst: 20, rate: 10 } });
  const one = `GET /v1/entries HTTP/1.1\r\n${HEAD}\r\n`;
  const answer = await exchange(served.path, one.repeat(100), 1000);
  expect(answer.match(/HTTP\/1.1 200/g)?.length).toBeLessThan(40);
  expect(answer).toMatch(/HTTP\/1.1 429 [\s\S]*retry-after: 1[\s\S]*"busy"/i);
  expect(await ask(MEMBER, served.path, 'GET', '/v1/status')).toMatchObject({ answer: { mode: 'daemon' } });
});

test('a reader of a stream that does not read is cut, with a count, and memory stays', async () => {
  const served = await serve({ bounds: { cutMs: 60_000 } });
  const lazy = await open(served.path);
  sockets.push(lazy);
  lazy.write(`GET /v1/events HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`);
  while ((await served.say(0, 0, 0)).readers === 0) await sleep(10);
  lazy.pause();
  const before = await served.say(0, 0, 0);
  const after = await served.say(50_000, 2000, 0);
  expect(after.rss - before.rss).toBeLessThan(250 << 20);
  await stillServes(served);
  let text = '';
  lazy.on('data', (data) => {
    text += data;
  });
  lazy.resume();
  await new Promise((resolve) => lazy.once('end', resolve));
  const { missed } = JSON.parse(/data: (\{"kind":"cut".*\})/.exec(text)?.[1] ?? '{}');
  expect(missed).toBeGreaterThan(100);
  expect(text.length).toBeLessThan(8 << 20);
  expect(await served.say(0, 0, 0)).toMatchObject({ readers: 0 });
});

test('a request the host does not answer ends, and is said to be slow', async () => {
  const { path } = await serve({ bounds: { answerMs: 200 } });
  const asked = new Client(path).request('POST', '/v1/policy/reload');
  await expect(asked).rejects.toMatchObject({ status: 503, code: 'slow' });
});
