import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AppliedPolicy } from '../../src/daemon/answers.ts';
import { remains } from '../cli/harness.ts';
import { startEcho } from '../cli/residents.ts';
import { type Begun, type Hosted, openHost, untilIdle } from './host.ts';

const RULES = 5000;
const SERVER = '127.53.0.1';

/** Allows one of the names and one of the addresses, among thousands of others. */
function allowing(which: 'one' | 'other'): string {
  const rules = Array.from({ length: RULES }, (_, i) =>
    i % 2
      ? `      - { host: h${i}.${which}.example, ports: [${1000 + (i % 30)}/tcp] }\n`
      : `      - { address: 10.${i >> 8}.${i & 255}.0/24, ports: [443] }\n`,
  );
  return `version: 1
services: { mysql: { addresses: [127.1.0.1] } }
deployments:
  mysql:
    default: deny
    circular: off
    dns: { servers: [${SERVER}] }
    deny:
      - { address: ${which === 'one' ? '127.4.2.0/24' : '127.4.1.0/24'} }
    allow:
      - { host: ${which}.test }
${rules.join('')}`;
}

/** Answers every question with 127.4.0.1. */
const NAME_SERVER = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('${SERVER}', 53)); print('ready', flush=True)
while True:
    q, a = s.recvfrom(512)
    end = q.index(0, 12) + 5
    s.sendto(q[:2] + bytes.fromhex('818000010001000000000000'[:20]) + q[12:end] + bytes.fromhex('c00c000100010000003c00047f040001'), a)
`;

/** Asks for both names and calls both addresses in turns, until it may stop; says how each went, a line each. */
const CALLER = `import os, socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.connect(('${SERVER}', 53))
n = 0
while not os.path.exists('stop'):
    n += 1
    for name in (b'one', b'other'):
        q = struct.pack('>HHHHHH', n % 65536, 256, 1, 0, 0, 0) + bytes([len(name)]) + name + b'\\4test\\0\\0\\1\\0\\1'
        start = time.monotonic()
        s.send(q); r = s.recv(512)
        took = time.monotonic() - start
        print(name.decode(), {0: 'allowed', 3: 'denied'}.get(r[3] & 15, r[3] & 15), 'late' if took > 1 else '', flush=True)
    for name, address in (('first', '127.4.1.1'), ('second', '127.4.2.1')):
        c = socket.socket()
        try: c.connect((address, 9)); how = 'allowed'
        except PermissionError: how = 'denied'
        c.close()
        print(name, how, flush=True)
`;

let hosted: Hosted;
const servers: ChildProcess[] = [];
beforeEach(async () => {
  hosted = await openHost(allowing('one'));
  const names = hosted.place.start(['python3', '-c', NAME_SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  servers.push(names, await startEcho(hosted.place));
  if (names.stdout) await once(names.stdout, 'data');
});
afterEach(async () => {
  for (const server of servers.splice(0)) server.kill();
  await untilIdle(hosted);
  await hosted.close();
  expect(remains()).toEqual([]);
});

/** A run that calls and asks, once it does. */
async function beginCaller(): Promise<Begun> {
  const run = hosted.begin(['run', '--quiet', '-d', 'mysql', '--', 'python3', '-c', CALLER]);
  while ((await hosted.status()).runs.every(({ calls }) => calls < 8)) await sleep(50);
  return run;
}

/** What it has said, a line each, when it has gone on for a moment. */
async function endCaller(run: Begun): Promise<string[]> {
  await sleep(300);
  hosted.place.file('stop', '');
  return (await run.ended).stdout.trimEnd().split('\n');
}

function applyOther(): Promise<AppliedPolicy> {
  const files = [{ path: 'acyclic.yaml', text: allowing('other') }];
  return hosted.client.request('POST', '/v1/policy/apply', { body: { files, reason: 'tried' } });
}

test('lookups and calls go on while a large policy is put in force, each by it or by the one before', {
  timeout: 60_000,
}, async () => {
  const run = await beginCaller();
  const applied = await applyOther();
  expect(applied).toMatchObject({ changed: true, runs: 1 });
  expect(applied.changes).toHaveLength(201);
  const lines = await endCaller(run);
  const seen = (what: string) =>
    lines.filter((line) => line.split(' ')[0] === what).map((line) => line.split(' ')[1]);
  for (const [what, [before, after]] of Object.entries({
    one: ['allowed', 'denied'],
    other: ['denied', 'allowed'],
    first: ['allowed', 'denied'],
    second: ['denied', 'allowed'],
  })) {
    const all = seen(what);
    const since = all.indexOf(after);
    expect([what, all[0], since > 0]).toEqual([what, before, true]);
    // Once it is in force, it is: nothing else, and nothing of before.
    expect([what, ...new Set(all.slice(0, since))]).toEqual([what, before]);
    expect([what, ...new Set(all.slice(since))]).toEqual([what, after]);
  }
  expect(lines.filter((line) => line.endsWith('late'))).toEqual([]);
});

test('live entries that are made meanwhile are in force with that policy', { timeout: 60_000 }, async () => {
  const run = await beginCaller();
  const applied = applyOther();
  let isOver = false;
  void applied.finally(() => {
    isOver = true;
  });
  for (let i = 0; !isOver; i++) {
    const body = { verdict: 'deny', destination: i === 0 ? '127.4.2.0/24' : `127.9.0.${i}`, seconds: 600 };
    await hosted.client.request('POST', '/v1/entries', { body: { ...body, reason: 'OPS-1' } });
    await sleep(30);
  }
  expect(await applied).toMatchObject({ changed: true, runs: 1 });
  expect((await hosted.status()).runs).toMatchObject([{ policy: (await applied).id }]);
  const last = (await endCaller(run)).slice(-4).map((line) => line.trim());
  // The policy would allow the second.
  expect(last).toEqual(['one denied', 'other allowed', 'first denied', 'second denied']);
});
