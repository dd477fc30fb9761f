import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeDirectory, removeAll, type Served, serve } from '../daemon/harness.ts';
import { acyclic, STRICT } from './harness.ts';

let directory: string;
let served: Served;

beforeEach(async () => {
  directory = makeDirectory();
  mkdirSync(join(directory, 'etc'));
  writeFileSync(join(directory, 'etc/acyclic.yaml'), STRICT);
  served = await serve({ keep: directory });
});
afterEach(async () => {
  await served.stop();
  removeAll();
});

/** `acyclic ARGS`, told of the daemon by the environment. */
async function say(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const env = { ...process.env, ACYCLIC_SOCKET: served.path };
  try {
    return { status: 0, ...(await promisify(execFile)(acyclic, args, { env, cwd: directory })) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, stdout, stderr };
  }
}

async function refused(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await say(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toMatch(/^acyclic: /);
  return stderr;
}

async function done(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await say(...args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

describe('allow and deny', () => {
  test('make an entry, list it with its time left, who and why, and take it back', async () => {
    const made = await done('allow', 'a.example:443', '--for', '2h', '--reason', 'OPS-1', '-d', 'mysql');
    expect(made).toMatch(/^allowed a\.example:443 for deployment mysql for 2h, until \d{4}-.* UTC\n/);
    const id = /--remove (\w{26})/.exec(made)?.[1] ?? '';
    await done('allow', 'b.example', '--for', '1d', '--reason', 'OPS-2');
    await done('deny', 'a.example:443', '--for', '90s', '--reason', 'OPS-3');
    const listed = (await done('allow', '--list')).split('\n');
    expect(listed[0]).toMatch(/^LEFT +DESTINATION +DEPLOYMENT +BY +REASON +ID$/);
    expect(listed[1]).toMatch(/^1h 59m +a\.example:443 +mysql +root \(.*\) +OPS-1 +\w{26}$/);
    expect(listed[2]).toMatch(/^23h 59m +b\.example +every +root \(.*\) +OPS-2 +\w{26}$/);
    expect(listed.slice(3)).toEqual(['']);
    expect(JSON.parse(await done('deny', '--list', '--json')).entries).toMatchObject([{ reason: 'OPS-3' }]);
    expect(await done('allow', '--remove', id)).toMatch(/^taken back: allow a\.example:443, /);
    expect(await done('allow', '--remove', 'b.example')).toMatch(/^taken back: allow b\.example, /);
    expect(await done('allow', '--list')).toBe('no live entry allows anything\n');
    expect(await done('deny', '--list')).toContain('OPS-3');
  });

  test.each([
    [['allow'], /allow what\?; give a destination/],
    [['allow', 'a.example'], /needs --for; as in: acyclic allow a\.example --for 2h --reason/],
    [['deny', 'a.example', '--for', '2h'], /needs --reason/],
    [['deny', 'a.example', '--list'], /one at a time/],
    [['allow', 'a.example', '--for', 'ever', '--reason', 'x'], /--for cannot be `ever`; give it a time/],
    [['allow', 'a.example', '--for', '0s', '--reason', 'x'], /a second at least/],
    [['allow', 'a.example', '--for', '400d', '--reason', 'x'], /at most 366 days/],
    [['allow', 'https://a.example/x', '--for', '2h', '--reason', 'x'], /is a URL.*did you mean a\.example\?/],
    [['allow', 'service:nix', '--for', '2h', '--reason', 'x'], /there is no service nix; /],
    [
      ['allow', 'a.example', '--for', '2h', '--reason', 'x', '-d', 'mysq'],
      /no deployment mysq; did you mean mysql\?/,
    ],
    [['allow', '--remove', 'a.example'], /no live entry to allow is `a\.example`; see: acyclic allow --list/],
  ])('%j is refused, with what to do', async (args, why) => {
    expect(await refused(...args)).toMatch(why);
  });
});

describe('policy', () => {
  const installed = () => readFileSync(join(directory, 'etc/acyclic.yaml'), 'utf8');

  test('apply, history and rollback', async () => {
    writeFileSync(
      join(directory, 'next.yaml'),
      STRICT.replace('deployments:', '# the same, so far\ndeployments:'),
    );
    const applied = await done('policy', 'apply', 'next.yaml', '--reason', 'OPS-4');
    expect(applied).toMatch(
      /^policy [0-9a-f]{7} is in force, before it was [0-9a-f]{7}; 2 runs in progress go by it\n {2}no difference in meaning\n$/,
    );
    expect(await done('policy', 'apply', 'next.yaml')).toMatch(/is in force already: nothing was changed\n$/);
    const history = (await done('policy', 'history')).split('\n');
    expect(history[1]).toMatch(/^[0-9a-f]{7} +\d{4}-.* UTC +in force +apply +root \(.*\) +OPS-4$/);
    expect(history[2]).toMatch(/^[0-9a-f]{7} +\d{4}-.* UTC +start +– +–$/);
    expect(await done('policy', 'history', '--changes')).toContain('\n  no difference in meaning\n');
    const { id } = JSON.parse(await done('policy', 'rollback', '--json'));
    expect(history[2]?.slice(0, 7)).toBe(id);
    const { versions } = JSON.parse(await done('policy', 'history', '--json'));
    expect(versions.map(({ by, inForce }: { by: string; inForce: boolean }) => [by, inForce])).toEqual([
      ...[
        ['rollback', true],
        ['apply', false],
        ['start', false],
      ],
    ]);
  });

  test('a mistake changes nothing, and is told where it is', async () => {
    const before = installed();
    writeFileSync(join(directory, 'wrong.yaml'), 'version: 1\nservces: {}\n');
    expect(await refused('policy', 'apply', 'wrong.yaml')).toMatch(
      /wrong\.yaml:2:1: .*servces(.|\n)*did you mean/,
    );
    expect(await refused('policy', 'rollback')).toMatch(
      /no policy before this one; see acyclic policy history/,
    );
    expect(await refused('policy', 'rollback', 'xyz')).toMatch(/is not the id of a policy/);
    expect(installed()).toBe(before);
  });
});

test('without a daemon each says that one is needed, and how to start it', async () => {
  writeFileSync(join(directory, 'next.yaml'), STRICT);
  const socket = ['--socket', join(directory, 'none')];
  for (const args of [
    ['allow', '--list'],
    ['deny', 'a.example', '--for', '2h', '--reason', 'x'],
    ['policy', 'apply', 'next.yaml'],
    ['policy', 'history'],
    ['policy', 'rollback'],
  ])
    expect(await refused(...args, ...socket)).toMatch(
      /no daemon answers at .*none; start it: systemctl start acyclic/,
    );
});
