import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Client } from '../../src/daemon/client.ts';
import { exchange, launch, makeDirectory, removeAll, serve } from './harness.ts';

afterEach(removeAll);

const STATUS = 'GET /v1/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

/** What a server says that does not start, and its exit status. */
async function refusal(path: string): Promise<object> {
  const { line, process: child } = launch({ path });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const said = JSON.parse(await line());
  return { code: said.code, message: said.message, exit: await ended };
}

test('a socket that is served is not taken; that of a dead daemon is', async () => {
  const first = await serve();
  const { path } = first;
  expect(await refusal(path)).toEqual({
    code: 'daemon-running',
    message: `a daemon serves ${path} already`,
    exit: 125,
  });
  first.process.kill('SIGKILL');
  await new Promise((resolve) => first.process.once('exit', resolve));
  expect(lstatSync(path).isSocket()).toBe(true);
  await expect(new Client(path).request('GET', '/v1/status')).rejects.toMatchObject({ code: 'no-daemon' });
  const second = await serve({ path });
  expect(await exchange(path, STATUS)).toMatch(/^HTTP\/1.1 200 /);
  await second.stop();
  expect(existsSync(path)).toBe(false);
});

test('a socket another program serves is left to it', async () => {
  const path = join(makeDirectory(), 'socket');
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(path, resolve));
  expect(await refusal(path)).toMatchObject({ code: 'daemon-running', exit: 125 });
  await new Promise((resolve) => other.close(resolve));
});

test('what is no socket is left alone, and no link is followed', async () => {
  const directory = makeDirectory();
  const kept = join(directory, 'kept');
  writeFileSync(kept, 'kept');
  expect(await refusal(kept)).toMatchObject({ code: 'socket', exit: 125 });
  const link = join(directory, 'link');
  symlinkSync(kept, link);
  expect(await refusal(link)).toMatchObject({ code: 'socket', exit: 125 });
  symlinkSync(kept, join(directory, 'locked.lock'));
  expect(await refusal(join(directory, 'locked'))).toMatchObject({ code: 'socket', exit: 125 });
  expect(readFileSync(kept, 'utf8')).toBe('kept');
  expect(readdirSync(directory).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('a directory others can write to is no place for the socket', async () => {
  const directory = join(makeDirectory(), 'open');
  mkdirSync(directory);
  chmodSync(directory, 0o777);
  expect(await refusal(join(directory, 'socket'))).toMatchObject({ code: 'socket', exit: 125 });
});

test('a socket that systemd holds is served', async () => {
  const path = join(makeDirectory(), 'activated');
  const launcher = [
    'systemd-socket-activate',
    '-l',
    path,
    '--fdname=control',
    '-E',
    `PATH=${process.env.PATH}`,
  ];
  const { line } = launch({ path: '/nonexistent/socket', launcher });
  // The program is started by the first connection, which it then serves.
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 20));
  const answer = exchange(path, STATUS);
  expect(await line()).toBe('ready');
  expect(await answer).toMatch(/^HTTP\/1.1 200 /);
});

/** What arrives at a datagram socket, and a command that listens there. */
async function listenForNotices(path: string) {
  const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True: print(repr(s.recv(4096).decode()), flush=True)`;
  const reader = spawn('python3', ['-c', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said: string[] = [];
  reader.stdout.on('data', (data) => said.push(...`${data}`.split('\n').filter(Boolean)));
  const until = async (wanted: RegExp) => {
    for (let tries = 0; tries < 200; tries++) {
      const found = said.find((line) => wanted.test(line));
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`no notice like ${wanted}: ${said.join(' ')}`);
  };
  await until(/bound/);
  return { said, until, stop: () => reader.kill('SIGKILL') };
}

test('systemd is told that it is ready, reloads, stops, and is well for as long as it is', async () => {
  const path = join(makeDirectory(), 'notify');
  const notices = await listenForNotices(path);
  try {
    const served = await serve({ env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' } });
    await notices.until(/^'READY=1\\nSTATUS=serving'$/);
    await notices.until(/^'WATCHDOG=1'$/);
    served.process.kill('SIGHUP');
    await notices.until(/^'RELOADING=1\\nMONOTONIC_USEC=\d+'$/);
    await notices.until(/^'READY=1\\nSTATUS=serving again WATCHDOG=trigger'$/);
    await served.stop();
    await notices.until(/^'STOPPING=1'$/);
  } finally {
    notices.stop();
  }
});

test('an engine that is not well lets the watchdog bite', async () => {
  const path = join(makeDirectory(), 'notify');
  const notices = await listenForNotices(path);
  try {
    await serve({ well: false, env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '100000' } });
    await notices.until(/READY=1/);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(notices.said.filter((line) => line.includes('WATCHDOG'))).toEqual([]);
  } finally {
    notices.stop();
  }
});

const PORT = 19_464;

function scrape(port: number, host: string): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/metrics', headers: { host } }, async (answer) => {
      let text = '';
      for await (const data of answer) text += data;
      resolve({ status: answer.statusCode, text });
    }).once('error', reject);
  });
}

test('metrics are on the socket and the loopback port, with few labels, under our own name only', async () => {
  const { path } = await serve({ metrics: `127.0.0.1:${PORT}` });
  const { status, text } = await scrape(PORT, `127.0.0.1:${PORT}`);
  expect(status).toBe(200);
  for (const line of [
    'acyclic_up 1',
    'acyclic_runs 0',
    'acyclic_calls_total{verdict="deny"} 2',
    'acyclic_denied_total 2',
    'acyclic_store_spooled_records 3',
    'acyclic_policy_errors 0',
    'acyclic_waiver_expiry_timestamp_seconds{deployment="mysql",service="github"} 1800000000',
    'acyclic_lost_events_total{cause="other"} 68',
  ])
    expect(text.split('\n')).toContain(line);
  expect(text.match(/^acyclic_lost_events_total\{/gm)?.length).toBe(33);
  expect(text).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m);
  expect((await scrape(PORT, 'attacker.example')).status).toBe(403);
  expect((await scrape(PORT, `attacker.example:${PORT}`)).status).toBe(403);
  expect(await exchange(path, 'GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toContain(
    'acyclic_up 1',
  );
});

test.each(['0.0.0.0:9464', '192.0.2.1:9464', '127.0.0.1', 'localhost:9464', '127.0.0.1:0', '[::]:9464'])(
  'metrics are not served at %s',
  async (metrics) => {
    const { line } = launch({ metrics });
    expect(JSON.parse(await line())).toMatchObject({ code: 'metrics-address', exit: 125 });
  },
);
