import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { pastOfTrail } from '../../src/audit/past.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { acyclic, remains, until } from '../cli/harness.ts';
import { MEMBER, STRANGER } from './harness.ts';
import { type Hosted, hostForAll, untilIdle } from './host.ts';

let hosted: Hosted;
hostForAll((one) => {
  hosted = one;
});

const DIAL = (address: string) => `exec 3<>/dev/tcp/${address}/9 && echo reached`;

describe('a run through the daemon', () => {
  test('is guarded under the caller’s own user, told as it happens, recorded, and leaves nothing', async () => {
    const script = `id -u; (${DIAL('127.3.0.1')}); (${DIAL('127.2.0.7')}) 2>/dev/null`;
    const told = await hosted.guest(['bash', '-c', script], { labels: { ticket: 'x' } }, MEMBER).told;
    expect(told).toMatchObject({
      created: { deployment: 'mysql', mode: 'enforce' },
      ...{ status: 1, output: `${MEMBER.uid}\nreached\n` },
      summary: {
        ...{ calls: 2, denials: 1, lost: {}, labels: { ticket: 'x' }, leftover: [] },
        ...{ cycles: [['mysql', 'github', 'mysql']], exit: { command: 1, acyclic: 1 } },
      },
    });
    const kinds = told.messages?.map(({ kind }) => kind) ?? [];
    expect(kinds.filter((kind) => kind === 'denied')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'event')).toHaveLength(2);
    expect(kinds.at(-1)).toBe('ended');
    const past: AuditEvent[] = [];
    const query = { run: told.created?.id ?? null, deployment: null, since: null };
    for await (const event of pastOfTrail(hosted.state).events(query)) past.push(event);
    expect(past.filter(({ verdict }) => verdict === 'deny')).toMatchObject([
      {
        destination: { address: '127.2.0.7', port: 9, service: 'github' },
        process: { uid: MEMBER.uid, comm: 'bash', ancestry: [{ uid: MEMBER.uid }] },
      },
    ]);
    expect(past).toHaveLength(2);
    expect(remains()).toEqual([]);
  });

  test('what the command leaves running is released, and listed', async () => {
    const { summary } = await hosted.guest(['bash', '-c', 'sleep 300 >/dev/null & echo $!']).told;
    const [left] = summary?.leftover ?? [];
    expect(left).toMatchObject({ comm: 'sleep' });
    expect(readFileSync(`/proc/${left?.pid}/cgroup`, 'utf8')).not.toContain('acyclic-');
    process.kill(left?.pid ?? 0, 'SIGKILL');
  });

  test('a connection that ends after its run is no event that was lost', async () => {
    const script = 'exec 3<>/dev/tcp/127.3.0.1/9; sleep 300 >/dev/null & echo';
    const { summary } = await hosted.guest(['bash', '-c', script]).told;
    const [left] = summary?.leftover ?? [];
    process.kill(left?.pid ?? 0, 'SIGKILL');
    await until(() => !existsSync(`/proc/${left?.pid}`), 'it is gone');
    await sleep(100);
    expect(await hosted.status()).toMatchObject({ degraded: [], lost: {} });
  });

  test.each([
    ['--allow', { allow: ['127.2.0.7'] }],
    ['--audit', { mode: 'audit' }],
  ])('a member cannot loosen the policy: %s; root can', async (_, asked) => {
    const refused = await hosted.guest(['true'], asked, MEMBER).told;
    expect(refused).toMatchObject({ code: 'loosens', message: expect.stringContaining('would') });
    expect(await hosted.guest(['true'], asked).told).toMatchObject({ status: 0 });
  });

  test('a member may tighten it', async () => {
    const told = await hosted.guest(['bash', '-c', DIAL('127.3.0.1')], { deny: ['127.3.0.1'] }, MEMBER).told;
    expect(told.summary).toMatchObject({ calls: 1, denials: 1 });
  });

  test('a socket the command was given is found by the daemon, whatever the client says of it', async () => {
    const inherit = '127.3.0.1';
    const lied = await hosted.guest(['bash', '-c', 'echo out >&3'], { inherit }, MEMBER).told;
    expect(lied).toMatchObject({
      code: 'inherited-socket',
      message: expect.stringContaining('descriptor 3: IPv4 TCP socket, connected to port 9'),
    });
    await untilIdle(hosted);
    const asked = { inherit, allowInherited: true };
    expect(await hosted.guest(['true'], asked, MEMBER).told).toMatchObject({
      code: 'loosens',
      message: expect.stringContaining('--allow-inherited'),
    });
    expect(await hosted.guest(['bash', '-c', 'echo out >&3'], asked).told).toMatchObject({ status: 0 });
  });

  test('who is not in the group is refused', async () => {
    expect(await hosted.guest(['true'], {}, STRANGER).told).toMatchObject({
      code: expect.stringMatching(/refused/),
    });
  });

  test('files a member names are not read with the daemon’s rights', async () => {
    const secret = hosted.place.file('secret.sh', 'curl https://127.2.0.7/\n');
    const script = ['bash', '-c', `${DIAL('127.2.0.7')} 2>/dev/null; true`];
    const asked = { file: secret, command: [secret] };
    const { summary, messages } = await hosted.guest(script, asked, MEMBER).told;
    expect(summary).toMatchObject({ denials: 1 });
    expect(JSON.stringify(messages)).not.toContain('secret.sh:1');
  });
});

test('a run in a run is refused, where root guards it by itself: both are in force, and no call is told twice', async () => {
  const inner = ['bash', '-c', `(${DIAL('127.2.0.7')}) 2>/dev/null; (${DIAL('127.3.0.1')})`];
  const run = [acyclic, 'run', '--socket', hosted.socket, '--quiet', '--', ...inner];
  const outer = await hosted.guest(run).told;
  expect(outer).toMatchObject({
    status: 0,
    output: 'reached\n',
    summary: { calls: 2, denials: 1, lost: {} },
  });
  const asMember = await hosted.guest(run, {}, MEMBER).told;
  expect(asMember).toMatchObject({ status: 125, output: '' });
  expect(remains()).toEqual([]);
});

describe('a client that is killed', () => {
  test('before its command was moved leaves no run', async () => {
    await hosted.guest(['true'], { die: 'created' }).told;
    await untilIdle(hosted);
    expect(remains()).toEqual([]);
  });

  test('leaves its run guarded until its last process exits', async () => {
    const script = `trap '' PIPE HUP; echo $$ > pid; until [ -e go ]; do sleep 0.05; done; (${DIAL('127.2.0.7')}) 2>/dev/null || touch denied`;
    const guest = hosted.guest(['bash', '-c', `cd ${hosted.place.directory}; ${script}`], { die: 'moved' });
    const id = await guest.created;
    await guest.told;
    expect((await hosted.status()).runs).toMatchObject([{ id }]);
    hosted.place.file('go', '');
    await untilIdle(hosted);
    expect(existsSync(`${hosted.place.directory}/denied`)).toBe(true);
    const summaries: { run: string }[] = [];
    const query = { run: id, deployment: null, since: null };
    for await (const run of pastOfTrail(hosted.state).runs(query)) summaries.push(run);
    expect(summaries).toMatchObject([{ run: id }]);
    expect(remains()).toEqual([]);
  });
});

test('many runs at once, and their memory and descriptors come back', { timeout: 120_000 }, async () => {
  const descriptors = () => readdirSync(`/proc/${hosted.pid()}/fd`).length;
  await untilIdle(hosted);
  const before = descriptors();
  const guests = Array.from({ length: 40 }, () => hosted.guest(['bash', '-c', `${DIAL('127.2.0.7')}`]));
  for (const { told } of guests)
    expect((await told).summary).toMatchObject({ calls: 1, denials: 1, lost: {} });
  await until(() => descriptors() <= before, 'descriptors are as before');
  expect(remains()).toEqual([]);
});
