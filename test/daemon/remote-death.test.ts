import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RunStream } from '../../src/cli/run-stream.ts';
import type { CreatedRun, Told } from '../../src/daemon/answers.ts';
import { Client } from '../../src/daemon/client.ts';
import { remains, until } from '../cli/harness.ts';
import { startEcho } from '../cli/residents.ts';
import { MEMBER } from './harness.ts';
import { type Hosted, openHost, untilIdle } from './host.ts';
import { openProxy } from './proxy.ts';

let hosted: Hosted;
let echo: ChildProcess;
let open: string;
beforeAll(async () => {
  hosted = await openHost();
  echo = await startEcho(hosted.place);
  open = join(hosted.place.directory, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
});
afterAll(async () => {
  echo.kill();
  await untilIdle(hosted);
  await hosted.close();
  expect(remains()).toEqual([]);
});

const DIAL = (address: string) => `(exec 3<>/dev/tcp/${address}/9) 2>/dev/null && echo reached ${address}`;
/** Waits for a file, and says that it does. */
const wait = (name: string) =>
  `: > ${join(open, name)}.waits; until [ -e ${join(open, name)} ]; do sleep 0.05; done`;

test('a stream that is cut is taken up again: each event comes once, each denial is told', async () => {
  const at = join(open, 'proxy');
  const proxy = openProxy(hosted.socket, at);
  const client = new Client(at);
  const script = `${DIAL('127.2.0.1')}; ${wait('cut')}; ${DIAL('127.2.0.2')}; ${DIAL('127.2.0.3')}; ${wait('back')}; ${DIAL('127.2.0.4')}`;
  const heard: string[] = [];
  const say = (what: string) => (told: Told) => heard.push(`${what} ${told.event.destination?.address}`);
  try {
    const { id } = await client.request<CreatedRun>('POST', '/v1/runs', {
      body: {
        ...{ deployment: null, file: '/bin/bash', command: ['bash'], cwd: '/', path: '', home: null },
        ...{ labels: {}, mode: null, requireEnforce: false, allow: [], deny: [], default: null },
        ...{ failOn: 'never', leftover: 'release', limits: { cpu: null, memory: null, tasks: null } },
        ...{ syscalls: false, breakGlass: null },
      },
    });
    const child = spawn('sh', ['-c', `read go && exec bash -c '${script}'`], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    const stream = new RunStream(client, id, {
      ...{ denied: say('denied'), event: say('event') },
      guardLost: () => heard.push('lost'),
      away: () => heard.push('gone'),
      back: () => heard.push('back'),
    });
    await stream.opened;
    await client.request('POST', `/v1/runs/${id}/command`, { body: { pid: child.pid } });
    child.stdin.write('\n');
    await until(() => heard.includes('event 127.2.0.1'), 'the first event');
    proxy.cut();
    hosted.place.file('open/cut', '');
    await until(() => existsSync(join(open, 'back.waits')) && heard.includes('gone'), 'calls while cut off');
    proxy.resume();
    await until(() => heard.includes('event 127.2.0.3'), 'what was missed');
    hosted.place.file('open/back', '');
    await ended;
    await client.request('POST', `/v1/runs/${id}/end`, { body: { status: 0, timedOut: false } });
    expect(await stream.ended).toMatchObject({ calls: 4, denials: 4 });
    const each = (address: string) => heard.filter((what) => what.endsWith(address));
    for (const address of ['127.2.0.1', '127.2.0.2', '127.2.0.3', '127.2.0.4'])
      expect(each(address)).toEqual([`denied ${address}`, `event ${address}`]);
    expect(heard.filter((what) => ['gone', 'back', 'lost'].includes(what))).toEqual(['gone', 'back']);
  } finally {
    proxy.close();
  }
});

test.each([
  ['its own status', [], 3, 3],
  ['125 where events were to decide it', ['--fail-on', 'deny'], 0, 125],
])(
  'the daemon dies: the command goes on, denied stays denied, and exits with %s',
  { timeout: 60_000 },
  async (_, options, own, status) => {
    const name = `dead${own}`;
    const script = `${wait(name)}; ${DIAL('127.2.0.7')}; ${DIAL('127.3.0.1')}; exit ${own}`;
    const run = hosted.begin(['run', ...options, '--', 'bash', '-c', script], MEMBER);
    await until(() => existsSync(join(open, `${name}.waits`)), 'the command to start');
    await hosted.kill();
    hosted.place.file(`open/${name}`, '');
    const { stdout, stderr, ...ended } = await run.ended;
    expect(ended).toEqual({ status });
    expect(stdout).toBe('reached 127.3.0.1\n');
    expect(stderr.match(/the daemon is away/g)).toHaveLength(1);
    expect(stderr).toMatch(/the summary of run \w{26} is missing/);
    await hosted.start();
  },
);
