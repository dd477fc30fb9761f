import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { MEMBER, makeDirectory, removeAll, STRANGER } from '../daemon/harness.ts';
import { acyclic, openPlace, remains, until } from './harness.ts';
import { openStub, type StubDaemon } from './stub-daemon.ts';

const undo: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  removeAll();
});

async function daemon(degraded: readonly string[] = []): Promise<StubDaemon> {
  const stub = await openStub(degraded);
  undo.push(() => stub.close());
  return stub;
}

function as({ uid, gid }: { uid: number; gid: number }, socket: string, command: string, ...args: string[]) {
  const user = ['--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups'];
  const argv = [...user, acyclic, command, '--socket', socket, ...args];
  return spawnSync('setpriv', argv, { encoding: 'utf8' });
}

test('a healthy daemon is told of in words and in JSON, with its runs, and it is 0', async () => {
  const { socket } = await daemon();
  const place = openPlace();
  undo.push(() => place.close());
  const argv = [acyclic, 'run', '--socket', socket, '-d', 'mysql', '--', 'sh', '-c', 'echo go; read line'];
  const child = place.start(argv, { stdio: ['pipe', 'pipe', 'ignore'] });
  let out = '';
  child.stdout?.on('data', (data) => {
    out += data;
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until(() => out.includes('go'), 'the command');
  const { status, stdout } = as(MEMBER, socket, 'status');
  expect(stdout).toMatch(/^acyclic 9\.9\.9: running: daemon \d+, up /);
  expect(stdout).toMatch(
    /runs +1 in progress\n.* · mysql · enforce · policy 3f9c2a1 · .*\n.*0 calls, 0 denied/s,
  );
  expect(status).toBe(0);
  const said = JSON.parse(as(MEMBER, socket, 'status', '--json').stdout);
  expect(said).toMatchObject({
    ...{ v: 1, state: 'running', version: '9.9.9', mode: 'daemon', degraded: [] },
    runs: [
      { run: expect.stringMatching(/^\w{26}$/), deployment: 'mysql', counts: { calls: 0 }, command: null },
    ],
  });
  child.stdin?.end();
  await ended;
  expect(remains()).toEqual([]);
});

test('a daemon with something wrong is 1, and so is one that does not answer; a dead one is 3', async () => {
  const wrong = await daemon(['7 events are lost']);
  const said = as(MEMBER, wrong.socket, 'status');
  expect(said.stdout).toMatch(/^acyclic 9\.9\.9: degraded: .*\n {2}degraded +7 events are lost\n/);
  expect(said.status).toBe(1);
  const hung = join(makeDirectory(), 'hung');
  // It is another process that must be silent: this one waits for the answer.
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(hung, resolve));
  undo.push(() => void server.close());
  const silent = spawnSync(acyclic, ['status', '--socket', hung, '--json'], { encoding: 'utf8' });
  expect(JSON.parse(silent.stdout)).toMatchObject({
    state: 'degraded',
    degraded: [{ code: 'daemon', message: expect.stringContaining('said nothing for 5 s') }],
  });
  expect(silent.status).toBe(1);
  await wrong.kill();
  const dead = as(MEMBER, wrong.socket, 'status');
  expect(dead.stdout).toMatch(/not running.*\n {2}degraded +no daemon answers at /);
  expect(dead.status).toBe(3);
});

test('who may not ask is told so', async () => {
  const { socket } = await daemon();
  const { status, stderr } = as(STRANGER, socket, 'status');
  expect(stderr).toMatch(/^acyclic: you may not use /);
  expect(status).toBe(2);
});

test('the daemon attaches at once and for long, until it is detached by id or by name', async () => {
  const { socket } = await daemon();
  const made = as(MEMBER, socket, 'attach', '--unit', 'mysql.service', '-d', 'mysql');
  expect(made.stderr).toMatch(/^acyclic: attached mysql · enforce · policy 3f9c2a1 · attach \w{26}\n/);
  expect(made.stderr).toContain('left alone  curl[7] → 192.0.2.7:443/tcp');
  expect(made.status).toBe(0);
  expect(as(MEMBER, socket, 'status').stdout).toMatch(/unit:mysql.service in \/stub\n.*3 calls, 1 denied/);
  expect(as(MEMBER, socket, 'detach', '--unit', 'mysql.service')).toMatchObject({
    ...{ status: 0, stdout: expect.stringMatching(/^detached \w{26} from \/stub\n$/) },
  });
  const again = as(MEMBER, socket, 'attach', '--pid', '1');
  const [, id = ''] = /attach (\w{26})\n/.exec(again.stderr) ?? [];
  expect(as(MEMBER, socket, 'detach', id.toLowerCase()).stdout).toBe(`detached ${id} from /stub\n`);
  expect(as(MEMBER, socket, 'status').stdout).not.toContain('/stub');
});

test('an attach that only the foreground knows says that it does without the daemon', async () => {
  const { socket } = await daemon();
  const { status, stderr } = as(MEMBER, socket, 'attach', '--pid', '1', '--for', '1s', '--label', 'a=b');
  expect(stderr).toContain('attached without the daemon, which does not know --for, --label');
  expect(stderr).toContain('guarding needs root');
  expect(status).toBe(125);
});
