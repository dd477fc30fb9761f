import { spawn } from 'node:child_process';
import { chmodSync, statSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import type { RunState, StreamMessage } from '../../src/daemon/answers.ts';
import { Client } from '../../src/daemon/client.ts';
import { ask, GROUP, MEMBER, removeAll, type Served, STRANGER, serve } from './harness.ts';
import { RUN } from './sample.ts';

afterEach(removeAll);

const SECRET = 'token=hunter2';
const ROOT = { uid: 0, gid: 0 };
const OTHER_MEMBER = { uid: 40_003, gid: GROUP.gid };
const ENTRY = { verdict: 'allow', destination: 'a.example', seconds: 60, reason: 'a test' };

const NEW_RUN = {
  ...{ deployment: 'mysql', file: '/bin/true', command: ['true', SECRET], cwd: '/', path: '', home: null },
  ...{ labels: {}, mode: null, requireEnforce: false, allow: [], deny: [], default: null, failOn: 'never' },
  ...{
    leftover: 'release',
    limits: { cpu: null, memory: null, tasks: null },
    syscalls: true,
    breakGlass: null,
  },
};

test('the socket is of root and the group, and of nobody else', async () => {
  const { path } = await serve();
  const { uid, gid, mode } = statSync(path);
  expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: 0, gid: GROUP.gid, mode: 0o660 });
});

test('a member is served; a user outside the group is refused, by the file and by the daemon', async () => {
  const { path } = await serve();
  expect(await ask(MEMBER, path, 'GET', '/v1/status')).toMatchObject({ answer: { mode: 'daemon' } });
  expect(await ask(STRANGER, path, 'GET', '/v1/status')).toMatchObject({ code: 'daemon-refused' });
  chmodSync(path, 0o666);
  expect(await ask(STRANGER, path, 'GET', '/v1/status')).toMatchObject({ code: 'refused', status: 403 });
  expect(await ask(MEMBER, path, 'GET', '/v1/status')).toMatchObject({ answer: { mode: 'daemon' } });
});

test('without the group, root is alone', async () => {
  const { path } = await serve({ group: 'acyclic-test-none' });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  chmodSync(path, 0o666);
  expect(await ask(MEMBER, path, 'GET', '/v1/status')).toMatchObject({ status: 403 });
  expect(await ask(ROOT, path, 'GET', '/v1/status')).toMatchObject({ answer: { mode: 'daemon' } });
});

test('a member reads and changes nothing; root changes', async () => {
  const { path } = await serve();
  const file = { files: [{ path: 'acyclic.yaml', text: 'version: 1' }] };
  const attachment = { target: { kind: 'pid', pid: 1 }, deployment: null, mode: null };
  const changes = [
    ['POST', '/v1/entries', ENTRY],
    ['DELETE', '/v1/entries/0'],
    ['POST', '/v1/policy/apply', file],
    ['POST', '/v1/policy/reload'],
    ['POST', '/v1/policy/rollback', {}],
    ['POST', '/v1/attachments', attachment],
    ['DELETE', '/v1/attachments/0'],
  ] as const;
  for (const [method, route, body] of changes)
    expect(await ask(MEMBER, path, method, route, body), route).toMatchObject({
      code: 'refused',
      status: 403,
    });
  for (const route of ['/v1/status', '/v1/runs', '/v1/entries', '/v1/attachments', '/v1/policy/history'])
    expect(await ask(MEMBER, path, 'GET', route), route).toHaveProperty('answer');
  expect(await ask(ROOT, path, 'POST', '/v1/entries', ENTRY)).toMatchObject({ answer: { who: { uid: 0 } } });
  expect(await ask(ROOT, path, 'POST', '/v1/policy/apply', file)).toMatchObject({
    answer: { changes: ['acyclic.yaml'] },
  });
  expect(await ask(ROOT, path, 'DELETE', '/v1/entries/0')).toEqual({ answer: null });
});

test('a run is its owner’s: another member may not end, read or fill it, nor see its command line', async () => {
  const { path } = await serve();
  expect(await ask(MEMBER, path, 'POST', '/v1/runs', NEW_RUN)).toMatchObject({ answer: { id: RUN } });
  const commandOf = async (who: typeof MEMBER) => {
    const { answer } = await ask(who, path, 'GET', '/v1/runs');
    const alone = await ask(who, path, 'GET', `/v1/runs/${RUN}`);
    const status = await ask(who, path, 'GET', '/v1/status');
    const commands = [
      (answer as RunState[])[0],
      alone.answer,
      (status.answer as { runs: RunState[] }).runs[0],
    ];
    return commands.map((run) => (run as RunState).command);
  };
  expect(await commandOf(MEMBER)).toEqual(Array(3).fill(NEW_RUN.command));
  expect(await commandOf(ROOT)).toEqual(Array(3).fill(NEW_RUN.command));
  expect(await commandOf(OTHER_MEMBER)).toEqual([null, null, null]);
  const theirs = [
    ['GET', `/v1/runs/${RUN}/events`],
    ['POST', `/v1/runs/${RUN}/command`, { pid: 1 }],
    ['POST', `/v1/runs/${RUN}/end`, { status: 0, timedOut: false }],
  ] as const;
  for (const [method, route, body] of theirs)
    expect(await ask(OTHER_MEMBER, path, method, route, body), route).toMatchObject({ status: 403 });
});

/** What the stream of everything tells a user of one event. */
async function streamed({ path, say }: Served, who: { uid: number; gid: number }): Promise<string> {
  const program = `
    import { Client } from ${JSON.stringify(new URL('../../src/daemon/client.ts', import.meta.url).href)};
    const stream = new Client(${JSON.stringify(path)}).events('/v1/events', { opened: () => console.log('opened') });
    for await (const { message } of stream) { console.log(JSON.stringify(message)); break; }`;
  const as = ['--reuid', `${who.uid}`, '--regid', `${who.gid}`, '--clear-groups', process.execPath];
  const child = spawn('setpriv', [...as, '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const data of child.stdout) {
    if (text === '') await say(1, SECRET.length, MEMBER.uid);
    text += data;
  }
  return text.split('\n')[1] ?? '';
}

test('the stream of everything withholds command lines of other users', async () => {
  const served = await serve();
  const argvOf = (text: string) => {
    const message = JSON.parse(text) as Extract<StreamMessage, { kind: 'event' }>;
    const { process: image } = message.event;
    return [image?.argv, image?.ancestry[0]?.argv, image?.exe];
  };
  const whole = ['curl', 'x'.repeat(SECRET.length)];
  expect(argvOf(await streamed(served, MEMBER))).toEqual([whole, whole, '/usr/bin/curl']);
  expect(argvOf(await streamed(served, ROOT))).toEqual([whole, whole, '/usr/bin/curl']);
  expect(argvOf(await streamed(served, OTHER_MEMBER))).toEqual([null, null, '/usr/bin/curl']);
});

test('only a child of the caller is taken for a run’s command', async () => {
  const { path } = await serve();
  const client = new Client(path);
  await client.request('POST', '/v1/runs', { body: NEW_RUN });
  const route = `/v1/runs/${RUN}/command`;
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  try {
    expect(await client.request('POST', route, { body: { pid: child.pid } })).toBeNull();
    for (const pid of [1, process.pid, process.ppid])
      await expect(client.request('POST', route, { body: { pid } })).rejects.toMatchObject({ status: 403 });
  } finally {
    child.kill('SIGKILL');
  }
});

test('a member cannot hand over a process that is not of its own user', async () => {
  const { path } = await serve();
  await ask(MEMBER, path, 'POST', '/v1/runs', NEW_RUN);
  // Root's child becomes the member, and its own child stays root's.
  const program = `
    const { spawn } = require('node:child_process');
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    child.unref();
    process.setgroups([]); process.setgid(${MEMBER.gid}); process.setuid(${MEMBER.uid});
    import(${JSON.stringify(new URL('../../src/daemon/client.ts', import.meta.url).href)}).then(async ({ Client }) => {
      const asked = new Client(${JSON.stringify(path)}).request('POST', '/v1/runs/${RUN}/command', { body: { pid: child.pid } });
      await asked.then(() => console.log('moved'), ({ code, message }) => console.log(code, message));
      process.stdout.write(String(child.pid));
    });`;
  const outer = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const data of outer.stdout) text += data;
  const [said = '', pid] = text.split('\n');
  process.kill(Number(pid), 'SIGKILL');
  expect(said).toMatch(/^refused process \d+ is not of user 40001 alone$/);
});

test.each([
  ['a key that is not known', { ...ENTRY, allow: true }],
  ['a reason of two lines', { ...ENTRY, reason: 'one\ntwo' }],
  ['a text without end', { ...ENTRY, destination: 'x'.repeat(10_000) }],
  ['time that goes back', { ...ENTRY, seconds: -1 }],
])('%s is a bad request', async (_, body) => {
  const { path } = await serve();
  expect(await ask(ROOT, path, 'POST', '/v1/entries', body)).toMatchObject({
    code: 'bad-request',
    status: 400,
  });
});

test.each([
  '/etc/shadow',
  '../x.yaml',
  'services/../../x.yaml',
  '.hidden.yaml',
  'a/b.yaml',
  'x.yaml\n',
  'x.txt',
])('a policy has no file at %j', async (name) => {
  const { path } = await serve();
  const body = { files: [{ path: name, text: '' }] };
  expect(await ask(ROOT, path, 'POST', '/v1/policy/apply', body)).toMatchObject({ code: 'bad-request' });
});

test('what a run has with it is bounded', async () => {
  const { path } = await serve();
  const labels = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`l${n}`, '']));
  expect(await ask(MEMBER, path, 'POST', '/v1/runs', { ...NEW_RUN, labels })).toMatchObject({ status: 400 });
});
