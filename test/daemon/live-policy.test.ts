import { type ChildProcess, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pastOfTrail } from '../../src/audit/past.ts';
import type { AppliedPolicy, Entry, PolicyHistory } from '../../src/daemon/answers.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { acyclic, remains, until } from '../cli/harness.ts';
import { startEcho } from '../cli/residents.ts';
import { CIRCULAR_ALLOWED, type Guest, type Hosted, openHost, untilIdle } from './host.ts';

/** Needs mysql, which is deployed; and a place no rule speaks of. */
const [CIRCULAR, PLAIN] = ['127.2.0.7', '127.3.0.1'];
const WRONG = 'version: 1\ndeployments: { mysql: { mode: enfroce } }\n';

let hosted: Hosted;
let echo: ChildProcess;
let guest: Guest;
let tries = 0;
beforeEach(async () => {
  hosted = await openHost();
  echo = await startEcho(hosted.place);
  const script = `cd ${hosted.place.directory}; n=0
    until [ -e stop ]; do
      if [ -e ask$n ]; then
        (exec 3<>/dev/tcp/$(cat ask$n)/9) 2>/dev/null && said=reached || said=denied
        echo $said > saying; mv saying said$n; n=$((n + 1))
      fi
      sleep 0.02
    done`;
  tries = 0;
  guest = hosted.guest(['bash', '-c', script]);
  await guest.created;
});
afterEach(async () => {
  hosted.place.file('stop', '');
  await guest.told;
  // One whose daemon was killed has lost it: its run ends with its last process.
  await untilIdle(hosted);
  echo.kill();
  await hosted.close();
  expect(remains()).toEqual([]);
});

/** What becomes of a call that the run in progress makes now. */
async function call(address: string): Promise<string> {
  const n = tries++;
  const file = (name: string) => join(hosted.place.directory, name);
  writeFileSync(file('asking'), address);
  renameSync(file('asking'), file(`ask${n}`));
  await until(() => existsSync(file(`said${n}`)), `the run called ${address}`);
  return readFileSync(file(`said${n}`), 'utf8').trim();
}

async function untilCall(address: string, said: string): Promise<void> {
  for (let i = 0; i < 1500; i++) if ((await call(address)) === said) return;
  throw new Error(`${address} was never ${said}`);
}

function apply(text: string): Promise<AppliedPolicy> {
  const files = [{ path: 'acyclic.yaml', text }];
  return hosted.client.request('POST', '/v1/policy/apply', { body: { files, reason: 'tried' } });
}

function rollback(): Promise<AppliedPolicy> {
  return hosted.client.request('POST', '/v1/policy/rollback', { body: { reason: 'back' } });
}

function enter(verdict: Entry['verdict'], destination: string, seconds = 3600): Promise<Entry> {
  const body = { verdict, destination, seconds, reason: 'OPS-1', deployment: 'mysql' };
  return hosted.client.request('POST', '/v1/entries', { body });
}

async function restart(): Promise<void> {
  await hosted.kill('SIGKILL');
  await hosted.start();
}

/** What was put on record of changes, oldest first. */
async function changes(): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  for await (const event of pastOfTrail(hosted.state).events({ run: null, deployment: null, since: null }))
    if (event.kind === 'policy') events.push(event);
  return events.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

test('apply and rollback change what a run in progress may, over a daemon that is killed too', async () => {
  expect(await call(CIRCULAR)).toBe('denied');
  const applied = await apply(CIRCULAR_ALLOWED);
  expect(applied).toMatchObject({ changed: true, runs: 1 });
  expect(await call(CIRCULAR)).toBe('reached');
  expect(readFileSync(join(hosted.policy, 'acyclic.yaml'), 'utf8')).toBe(CIRCULAR_ALLOWED);
  await restart();
  expect(await call(CIRCULAR)).toBe('reached');
  expect(await rollback()).toMatchObject({ id: applied.before, before: applied.id, runs: 1 });
  expect(await call(CIRCULAR)).toBe('denied');
  await restart();
  expect(await call(CIRCULAR)).toBe('denied');
  const { versions } = await hosted.client.request<PolicyHistory>('GET', '/v1/policy/history');
  expect(versions).toMatchObject([
    { id: applied.before, by: 'rollback', reason: 'back', inForce: true, who: { uid: 0 } },
    { id: applied.id, by: 'apply', reason: 'tried', inForce: false, who: { uid: 0 } },
    { id: applied.before, by: 'start', inForce: false, who: null },
  ]);
  expect(await changes()).toMatchObject([
    { policy: applied.before, process: null, change: { what: 'start', by: null } },
    { policy: applied.id, change: { what: 'apply', by: 0, reason: 'tried', before: applied.before } },
    { policy: applied.before, change: { what: 'rollback', by: 0, reason: 'back', before: applied.id } },
  ]);
});

test('a policy with a mistake changes nothing, and is told until it is mended', async () => {
  const before = (await hosted.status()).policies;
  await expect(apply(WRONG)).rejects.toMatchObject({ message: expect.stringContaining('enfroce') });
  expect(await hosted.status()).toMatchObject({ policies: before, degraded: [] });
  const file = join(hosted.policy, 'acyclic.yaml');
  writeFileSync(file, WRONG);
  await until(() => hosted.logged().some((line) => line.includes('enfroce')), 'the mistake is logged');
  expect(await hosted.status()).toMatchObject({
    ...{ policies: before, degraded: [expect.stringContaining('the last good policy stays in force')] },
  });
  expect([await call(CIRCULAR), await call(PLAIN)]).toEqual(['denied', 'reached']);
  writeFileSync(file, CIRCULAR_ALLOWED);
  await untilCall(CIRCULAR, 'reached');
  expect((await hosted.status()).degraded).toEqual([]);
});

test('a live entry opens what is circular to a run in progress, survives a kill, and can be taken back', async () => {
  expect(await call(CIRCULAR)).toBe('denied');
  const allowed = await enter('allow', 'service:github');
  expect(await call(CIRCULAR)).toBe('reached');
  const denied = await enter('deny', PLAIN);
  expect(await call(PLAIN)).toBe('denied');
  await restart();
  expect([await call(CIRCULAR), await call(PLAIN)]).toEqual(['reached', 'denied']);
  expect((await hosted.status()).entries).toEqual([allowed, denied]);
  await apply(CIRCULAR_ALLOWED);
  expect(await call(PLAIN)).toBe('denied');
  await rollback();
  await hosted.client.request('DELETE', `/v1/entries/${allowed.id}`);
  await hosted.client.request('DELETE', `/v1/entries/${denied.id}`);
  expect([await call(CIRCULAR), await call(PLAIN)]).toEqual(['denied', 'reached']);
  const rule = { kind: 'live', source: expect.stringContaining(`deny ${PLAIN} until `) };
  const events: AuditEvent[] = [];
  const query = { run: await guest.created, deployment: null, since: null };
  for await (const event of pastOfTrail(hosted.state).events(query)) events.push(event);
  expect(events.filter((event) => event.rule?.kind === 'live' && event.verdict === 'deny')[0]).toMatchObject({
    rule,
  });
});

test('a live entry lapses by itself for a run in progress, and while no daemon runs', async () => {
  await enter('deny', PLAIN, 4);
  expect(await call(PLAIN)).toBe('denied');
  await untilCall(PLAIN, 'reached');
  expect((await hosted.status()).entries).toEqual([]);
  const { until: end } = await enter('allow', CIRCULAR, 4);
  expect(await call(CIRCULAR)).toBe('reached');
  await hosted.kill('SIGKILL');
  await until(() => Date.now() > Date.parse(end), 'its time is over');
  await hosted.start();
  expect(await call(CIRCULAR)).toBe('denied');
  const told = (await changes()).map(({ change }) => [change?.what, change?.by]);
  expect(told).toEqual([
    ...[
      ['start', null],
      ['entry-made', 0],
      ['entry-lapsed', null],
    ],
    ...[
      ['entry-made', 0],
      ['entry-lapsed', null],
    ],
  ]);
});

test('the command line asks that daemon', async () => {
  const say = (...args: string[]) => {
    const env = { ...process.env, ACYCLIC_SOCKET: hosted.socket };
    const { status, stdout, stderr } = spawnSync(acyclic, args, { env, encoding: 'utf8' });
    return { status, told: stdout + stderr };
  };
  expect(say('allow', CIRCULAR, '--for', '2h', '--reason', 'OPS-2').status).toBe(0);
  expect(await call(CIRCULAR)).toBe('reached');
  expect(say('allow', '--list').told).toMatch(/^1h 59m +127\.2\.0\.7 +every +root .* OPS-2 /m);
  expect(say('allow', '--remove', CIRCULAR).status).toBe(0);
  expect(await call(CIRCULAR)).toBe('denied');
  const file = hosted.place.file('open.yaml', CIRCULAR_ALLOWED);
  expect(say('policy', 'apply', file).told).toContain('1 run in progress go by it');
  expect(await call(CIRCULAR)).toBe('reached');
  expect(say('policy', 'rollback').status).toBe(0);
  expect(await call(CIRCULAR)).toBe('denied');
  await hosted.kill('SIGTERM');
  expect(say('policy', 'history')).toEqual({ status: 2, told: expect.stringContaining('daemon') });
  await hosted.start();
});
