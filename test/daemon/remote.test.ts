import type { ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/model/event.ts';
import type { RunSummary } from '../../src/model/summary.ts';
import { acyclic, remains, until } from '../cli/harness.ts';
import { startEcho } from '../cli/residents.ts';
import { transparencyCases } from '../cli/transparency-cases.ts';
import { MEMBER, STRANGER } from './harness.ts';
import { asUser, type Begun, type Hosted, openHost, untilIdle } from './host.ts';
import { holdCommands } from './proxy.ts';

let hosted: Hosted;
let echo: ChildProcess;
let silent: Server;
let hanging: Begun;
/** Where a member may write. */
let open: string;

beforeAll(async () => {
  hosted = await openHost();
  process.env.ACYCLIC_SOCKET = hosted.socket;
  echo = await startEcho(hosted.place);
  open = join(hosted.place.directory, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  silent = createServer(() => {}).listen(join(open, 'silent'));
  await new Promise((resolve) => silent.once('listening', resolve));
  hanging = hosted.begin(['run', '--socket', join(open, 'silent'), '--', 'true']);
});
afterAll(async () => {
  delete process.env.ACYCLIC_SOCKET;
  echo.kill();
  silent.close();
  await hosted.close();
  expect(remains()).toEqual([]);
});
afterEach(async () => await untilIdle(hosted));

const DIAL = (address: string) => `exec 3<>/dev/tcp/${address}/9 && echo reached`;
const QUIET = ['run', '--quiet', '--'];
const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

transparencyCases(
  () => ({ ...hosted.place, directory: open }),
  (...command) => [...asUser(MEMBER), acyclic, ...QUIET, ...command],
);

describe('exit status', () => {
  test.each([
    ['of the command', ['--', 'sh', '-c', 'exit 7'], 7],
    ['128+n for a signal', ['--', 'sh', '-c', 'kill -9 $$'], 137],
    ['127 a command that is not there', ['--', '/no/such-command'], 127],
    ['126 a command that is no program', ['--', '/etc/passwd'], 126],
    ['124 a timeout', ['--timeout', '1s', '--', 'sleep', '30'], 124],
    [
      '122 what --fail-on names',
      ['--fail-on', 'deny', '--', 'bash', '-c', `(${DIAL('127.2.0.7')}); true`],
      122,
    ],
    ['125 an unknown deployment', ['-d', 'nothing', '--', 'true'], 125],
  ])('%s', (_, args, status) => {
    expect(hosted.acyclic(['run', '--quiet', ...args], MEMBER)).toMatchObject({ status });
  });

  test.each([
    ['--allow 127.2.0.7', /would open what the policy does not; .*; ask who administers/],
    ['--audit', /would deny nothing/],
    ['-p /tmp', /-p names a policy of your own/],
    ['--state /tmp', /the daemon keeps the audit trail/],
  ])('125 with the reason: %s of a member', (args, reason) => {
    const { status, stderr } = hosted.acyclic(
      ['run', ...args.split(' '), '--', 'touch', join(open, 'ran')],
      MEMBER,
    );
    expect(status).toBe(125);
    expect(stderr).toMatch(reason);
    expect(existsSync(join(open, 'ran'))).toBe(false);
  });

  test('125: a socket that is refused, and none for an ordinary user', () => {
    expect(hosted.acyclic(['run', '--', 'true'], STRANGER)).toMatchObject({
      ...{ status: 125, stderr: expect.stringMatching(/^acyclic: you may not use .*group acyclic/) },
    });
    const none = ['run', '--socket', join(open, 'none'), '--', 'true'];
    expect(hosted.acyclic(none, MEMBER)).toMatchObject({
      ...{ status: 125, stderr: expect.stringMatching(/no daemon answers/) },
    });
    // A socket that was named is not passed over.
    expect(hosted.acyclic(none)).toMatchObject({ status: 125 });
  });

  test('root with a policy of its own guards by itself', () => {
    const own = hosted.acyclic(['run', '-p', hosted.policy, '--', 'cat', '/proc/self/cgroup']);
    expect(own).toMatchObject({ status: 0, stderr: expect.stringContaining('guarding mysql') });
  });
});

describe('what is told', () => {
  test('a denial with all there is to say, each event once in the report, the summary last', () => {
    const report = join(open, 'report.jsonl');
    const dial = `(${DIAL('127.2.0.7')}) 2>/dev/null`;
    // What bash leaves is still bash until it is sleep.
    const left = 'sleep 300 >/dev/null 2>&1 & until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done';
    const script = `(${DIAL('127.3.0.1')}); ${dial}; ${dial}; ${left}; exit 0`;
    const { stderr } = hosted.acyclic(
      ['run', '--report', report, '--label', 'a=b', '--', 'bash', '-c', script],
      MEMBER,
    );
    expect(stderr).toMatch(/^acyclic: guarding mysql · enforce · policy \w{7} · run \w{26}\n/);
    expect(stderr.match(/^acyclic: denied bash.* → 127\.2\.0\.7:9\/tcp$/gm)).toHaveLength(1);
    expect(stderr).toMatch(/\n {2}cycle {4}mysql → github → mysql/);
    expect(stderr).toMatch(/\n {2}more {5}acyclic audit show \w{26}\n/);
    expect(stderr).toMatch(/ · 3 calls to 2 destinations · 2 denied · exit 0 · /);
    expect(stderr).toMatch(/\n {2}denied {3}bash → 127\.2\.0\.7:9\/tcp ×2\n/);
    expect(stderr).toMatch(/\n {2}left {5}sleep\[\d+\] goes on, unguarded: sleep 300\n/);
    const lines = hosted.place.report('open/report.jsonl') as unknown as (AuditEvent | RunSummary)[];
    const summary = lines.at(-1) as RunSummary;
    expect(lines.map(({ kind }) => kind)).toEqual(['connect', 'connect', 'connect', 'summary']);
    expect(new Set(lines.map(({ id }) => id)).size).toBe(4);
    expect(summary).toMatchObject({
      calls: 3,
      denials: 2,
      labels: { a: 'b' },
      exit: { command: 0, acyclic: 0 },
    });
    process.kill(summary.leftover[0]?.pid ?? 0, 'SIGKILL');
  });

  test('broken glass: nothing is denied, and that is on record', () => {
    const args = ['run', '--break-glass', 'db is down', '--', 'bash', '-c', DIAL('127.2.0.7')];
    const { stdout, stderr } = hosted.acyclic(args);
    expect({ stdout, stderr }).toMatchObject({
      ...{
        stdout: 'reached\n',
        stderr: expect.stringMatching(/BREAK GLASS: nothing is denied to this run: db is down/),
      },
    });
    const list = ['audit', 'list', '--state', hosted.state, '--kind', 'policy', '--json'];
    expect(hosted.place.run(list).stdout).toContain('db is down');
  });

  test('broken glass where the daemon is broken: the command runs', async () => {
    const other = createServer((socket) => socket.destroy()).listen(join(open, 'broken'));
    try {
      const args = [
        'run',
        '--socket',
        join(open, 'broken'),
        '--break-glass',
        'all is down',
        '--',
        'echo',
        'ran',
      ];
      await expect(hosted.begin(args).ended).resolves.toMatchObject({ status: 0, stdout: 'ran\n' });
    } finally {
      other.close();
    }
  });
});

test('a client that is killed before its command was moved takes it along, unrun', async () => {
  const proxy = holdCommands(hosted.socket, join(open, 'proxy'));
  try {
    const mark = join(open, 'never');
    const { child, ended } = hosted.begin(['run', '--socket', join(open, 'proxy'), '--', 'touch', mark]);
    const { run, pid } = await proxy.held;
    expect(isAlive(pid)).toBe(true);
    child.kill('SIGKILL');
    await ended;
    await until(() => !isAlive(pid), 'the command to be gone');
    expect(existsSync(mark)).toBe(false);
    await hosted.client.request('POST', `/v1/runs/${run}/end`, { body: { status: null, timedOut: false } });
  } finally {
    proxy.close();
  }
});

test('a daemon that is silent is not passed over', { timeout: 60_000 }, async () => {
  expect(await hanging.ended).toMatchObject({
    ...{ status: 125, stderr: expect.stringMatching(/said nothing for 30 s/) },
  });
});
