import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { pastOfTrail } from '../../src/audit/past.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { acyclic, remains, until } from '../cli/harness.ts';
import { startResident } from '../cli/residents.ts';
import { type Hosted, hostForAll, untilIdle } from './host.ts';

let hosted: Hosted;
hostForAll((one) => {
  hosted = one;
});

/**
 * Calls an allowed and a denied address in turns until its input ends; says how each went, and how often. A connection
 * in fifty stays open, longer than its event waits for its end.
 */
const CALLER = `import errno, json, os, select, socket, sys, time
seen, kept = {}, []
while not select.select([sys.stdin], [], [], 0)[0]:
    for address in ('127.3.0.1', '127.2.0.7'):
        s = socket.socket()
        try:
            s.connect((address, 9)); how = 'connected'
        except OSError as e: how = errno.errorcode[e.errno]
        if how == 'connected' and seen.get(address + ' connected', 0) % 50 == 0: kept.append(s)
        else: s.close()
        key = address + ' ' + how
        seen[key] = seen.get(key, 0) + 1
    time.sleep(0.002)
print(json.dumps(seen))`;

async function eventsOf(run: string): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  const query = { run, deployment: null, since: null };
  for await (const event of pastOfTrail(hosted.state).events(query)) events.push(event);
  return events;
}

/** A hundred take minutes: DEATHS=100. */
const DEATHS = Number(process.env.DEATHS ?? 12);

test(`a daemon that is killed ${DEATHS} times: not one verdict is wrong, each denial is on record once, and nothing is twice`, {
  timeout: 60_000 + DEATHS * 15_000,
}, async () => {
  const report = hosted.place.file('report.jsonl', '');
  const run = hosted.place.start(
    [
      acyclic,
      'run',
      '--socket',
      hosted.socket,
      '-d',
      'mysql',
      '--report',
      report,
      '--',
      'python3',
      '-c',
      CALLER,
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  const [out, err] = [text(run.stdout), text(run.stderr)];
  const ended = new Promise((resolve) => run.once('close', resolve));
  await until(() => err().includes('guarding mysql'), 'the run is guarded');
  await sleep(300);
  for (let i = 0; i < DEATHS; i++) {
    await sleep(Math.random() * 400);
    await hosted.kill();
    await sleep(Math.random() * 300);
    await hosted.start();
  }
  await sleep(300);
  run.stdin?.end();
  expect(await ended, err()).toBe(0);
  const seen = JSON.parse(out());
  expect(Object.keys(seen).sort()).toEqual(['127.2.0.7 EPERM', '127.3.0.1 connected']);
  const calls = seen['127.2.0.7 EPERM'] + seen['127.3.0.1 connected'];
  const lines = hosted.place.report('report.jsonl') as unknown as (AuditEvent & {
    lost: object;
    calls: number;
    denials: number;
  })[];
  const summary = lines.at(-1);
  const events = await eventsOf(summary?.run ?? '');
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  const count = (verdict: string) =>
    events.filter((event) => event.verdict === verdict).reduce((sum, event) => sum + event.count, 0);
  expect([summary?.denials, count('deny')]).toEqual([seen['127.2.0.7 EPERM'], seen['127.2.0.7 EPERM']]);
  expect([summary?.lost, summary?.calls, count('allow')]).toEqual([{}, calls, seen['127.3.0.1 connected']]);
  const told = lines.slice(0, -1).map(({ id }) => id);
  expect(new Set(told).size).toBe(told.length);
  expect(remains()).toEqual([]);
});

test('an attached cgroup stays guarded without its daemon, and is taken over', async () => {
  const resident = await startResident(hosted.place);
  const body = { target: { kind: 'pid', pid: resident.pid }, deployment: 'mysql', mode: null };
  await hosted.client.request('POST', '/v1/attachments', { body });
  await hosted.kill();
  expect(await resident.ask('connect 127.2.0.5')).toBe('PermissionError');
  expect(await resident.ask('connect 127.3.0.1')).toBe('ok');
  await hosted.start();
  const [attachment] = (await hosted.status()).attachments;
  expect(attachment).toMatchObject({ cgroup: resident.cgroup, deployment: 'mysql', mode: 'enforce' });
  expect(await resident.ask('connect 127.2.0.5')).toBe('PermissionError');
  await hosted.client.request('DELETE', `/v1/attachments/${attachment?.id}`);
  expect(await resident.ask('connect 127.2.0.5')).toBe('ok');
  await resident.stop();
});

test('a run that ended while there was no daemon is cleared, and has its summary', async () => {
  const guest = hosted.guest(['sleep', '1'], { die: 'moved' });
  const id = await guest.created;
  await guest.told;
  await hosted.kill();
  await sleep(1200);
  await hosted.start();
  await untilIdle(hosted);
  const summaries: string[] = [];
  for await (const { run } of pastOfTrail(hosted.state).runs({ run: id, deployment: null, since: null }))
    summaries.push(run);
  expect(summaries).toEqual([id]);
  expect(remains()).toEqual([]);
});

function text(stream: NodeJS.ReadableStream | null): () => string {
  let all = '';
  stream?.setEncoding('utf8').on('data', (data) => {
    all += data;
  });
  return () => all;
}
