import { type SpawnOptions, spawn } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ownCgroup } from '../../src/kernel/cgroup.ts';
import { acyclic } from '../cli/harness.ts';
import { ask, launch, MEMBER, makeDirectory, removeAll, STRANGER, serve } from './harness.ts';

afterEach(removeAll);

/** `acyclic require ARGS`, until it ends; `launcher` starts it. */
async function required(path: string, args: readonly string[], launcher: readonly string[] = []) {
  const [file = '', ...rest] = [...launcher, acyclic, 'require', '--socket', path, ...args];
  const options: SpawnOptions = { stdio: ['ignore', 'pipe', 'pipe'] };
  const child = spawn(file, rest, options);
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (data) => {
    stdout += data;
  });
  child.stderr?.on('data', (data) => {
    stderr += data;
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  return { status, stdout, stderr };
}

const as = ({ uid, gid }: { uid: number; gid: number }) => [
  ...['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups'],
];

describe('a unit starts', () => {
  test('once it is guarded, which is waited for', async () => {
    const { path } = await serve();
    expect(await required(path, ['/a/deploy-soon'])).toEqual({
      status: 0,
      stdout: '',
      stderr: 'acyclic: guarded /a/deploy-soon · mysql · enforce · run 01KAR2RZ0000000000000000AA\n',
    });
  });

  test('without a guard where policy lets it, and that is said', async () => {
    const { path } = await serve();
    const { status, stderr } = await required(path, ['--wait', '200ms', '/a/free-1']);
    expect([status, stderr.split('\n')[0]]).toEqual([
      0,
      'acyclic: UNGUARDED: /a/free-1 of deployment free is not guarded: the daemon has not come to it in time',
    ]);
  });

  test('when the daemon has come', async () => {
    const path = join(makeDirectory(), 'socket');
    const asked = required(path, ['--wait', '20s', '/a/deploy-soon']);
    const served = launch({ path });
    expect(await asked).toMatchObject({ status: 0 });
    await served.stop();
  });

  test('without a daemon, where it is told so', async () => {
    const path = join(makeDirectory(), 'socket');
    const { status, stderr } = await required(path, ['--wait', '100ms', '--or-go']);
    expect([status, stderr]).toEqual([
      0,
      expect.stringMatching(/^acyclic: UNGUARDED: no daemon answers at /),
    ]);
  });

  test('as the user it has, who is a member', async () => {
    const { path } = await serve();
    expect(await required(path, ['/a/deploy-soon'], as(MEMBER))).toMatchObject({ status: 0 });
  });
});

describe('it fails', () => {
  test.each([
    [
      'where it is not guarded in time',
      ['--wait', '200ms', '/a/deploy-1'],
      /\/a\/deploy-1 of deployment mysql is not guarded: the daemon has not come to it in time; see/,
    ],
    ['where it cannot be guarded', ['/a/deploy-refused'], /is not guarded: there is no room; see/],
    [
      'where policy does not know of it',
      ['/a/other'],
      /\/a\/other is not guarded: no `match` of the policy holds it; name/,
    ],
    ['also with --or-go, since there is a daemon', ['--or-go', '/a/other'], /no `match` of the policy/],
    [
      'where a unit is named that does not run',
      ['acyclic-there-is-none.service'],
      /no unit acyclic-there-is-none\.service/,
    ],
    ['where the command line has a mistake', ['--wiat', '3s'], /unknown option '--wiat'/],
    ['where a path is none', ['/a\nb'], /cgroup: must be one line/],
  ])('%s', async (_, args, message) => {
    const { path } = await serve();
    const { status, stderr } = await required(path, args);
    expect([status, stderr]).toEqual([255, expect.stringMatching(message)]);
  });

  test('without a daemon', async () => {
    const { status, stderr } = await required(join(makeDirectory(), 'socket'), ['--wait', '100ms']);
    expect([status, stderr]).toEqual([
      255,
      expect.stringMatching(/^acyclic: no daemon answers at .*; start it/),
    ]);
  });

  test('as a user who may not ask, also with --or-go', async () => {
    const { path } = await serve();
    for (const args of [[], ['--or-go']])
      expect(await required(path, [...args, '/a/deploy-soon'], as(STRANGER))).toMatchObject({ status: 255 });
  });
});

test('without a name it is about the cgroup it is started in', async () => {
  const { path } = await serve();
  const own = ownCgroup();
  const cgroup = join(own.path, `acyclic-require-${process.pid}`);
  mkdirSync(cgroup);
  try {
    const { status, stderr } = await required(
      path,
      [],
      [...['sh', '-c', `echo $$ > '${cgroup}/cgroup.procs'; exec "$@"`, 'sh']],
    );
    expect([status, stderr]).toEqual([
      255,
      expect.stringContaining(`/acyclic-require-${process.pid} is not guarded`),
    ]);
  } finally {
    rmdirSync(cgroup);
  }
});

test('a place that is none is refused', async () => {
  const { path } = await serve();
  for (const cgroup of ['a', '', `/${'x'.repeat(5000)}`, '/%00'])
    expect(await ask(MEMBER, path, 'GET', `/v1/guarded?cgroup=${cgroup}`)).toMatchObject({
      status: 400,
      code: 'bad-request',
    });
  expect(await ask(MEMBER, path, 'GET', '/v1/guarded?cgroup=/a/other')).toMatchObject({
    answer: { cgroup: '/a/other', guarded: false, matched: null, required: true },
  });
});
