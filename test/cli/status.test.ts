import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startOf } from '../../src/audit/liveness.ts';
import type { HostStatus, RunStatus } from '../../src/guard/status.ts';
import { acyclic, openPlace, type Place, remains, STRICT, until } from './harness.ts';

const NOBODY = ['setpriv', '--reuid=65534', '--clear-groups'];
/** Does what it is told, a line at a time. */
const OBEY = 'while read -r line; do eval "$line"; done';

let place: Place;
let state: string;
let policy: string;

beforeAll(() => {
  place = openPlace();
  state = join(place.directory, 'state');
  policy = place.file('policy.yaml', STRICT);
});
afterAll(() => place.close());

type Said = HostStatus & { v: 1; version: string; state: string };

function status(wrapper: readonly string[] = []): Said {
  const argv = [...wrapper, acyclic, 'status', '--json', '--state', state];
  const result = place.bare(argv);
  expect(result).toMatchObject({ status: 3, stderr: '' });
  return JSON.parse(result.stdout);
}

const text = (...wrapper: string[]) => place.bare([...wrapper, acyclic, 'status', '--state', state]).stdout;
const runIn = (said: Said, id: string): RunStatus | undefined => said.runs?.find(({ run }) => run === id);
const entryOf = (id: string) => `/run/acyclic/runs/${id}.json`;

describe('a run', () => {
  let engine: ChildProcess;
  let id: string;
  const tell = (line: string) => engine.stdin?.write(`${line}\n`);
  const now = () => runIn(status(), id);

  beforeEach(async () => {
    const command = ['bash', '-c', OBEY, 'deploy', '--password=hunter2'];
    engine = place.start([acyclic, 'run', '-p', policy, '--state', state, '--', ...command]);
    let said = '';
    engine.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    await until(() => /run \w{26}\n/.test(said), 'the run');
    id = /run (\w{26})\n/.exec(said)?.[1] ?? '';
    await until(() => (now()?.pid ?? null) !== null, 'its command');
  });
  afterEach(async () => {
    engine.stdin?.end();
    if (engine.exitCode === null && engine.signalCode === null)
      await new Promise((resolve) => engine.once('exit', resolve));
    expect(remains().filter((what) => what.includes(id))).toEqual([]);
  });

  test('in progress shows with counts that grow, a denial among them, until it is over', async () => {
    await until(() => now()?.counts !== null, 'a first count');
    expect(now()).toEqual({
      ...{ run: id, deployment: 'mysql', mode: 'enforce', policy: expect.stringMatching(/^[0-9a-f]{7}$/) },
      attached: null,
      ...{ guarded_by: 'engine', since: expect.stringMatching(/^\d{4}-.*Z$/), pid: expect.any(Number) },
      command: ['/usr/bin/bash', '-c', OBEY, 'deploy', expect.not.stringContaining('hunter2')],
      counts: { calls: 0, denials: 0, would_deny: 0, lost: {} },
    });
    tell('exec 4<>/dev/udp/127.0.0.1/9');
    await until(() => now()?.counts?.calls === 1, 'one call');
    tell('(exec 3<>/dev/tcp/192.0.2.7/443)');
    await until(() => now()?.counts?.calls === 2, 'two calls');
    expect(now()?.counts).toEqual({ calls: 2, denials: 1, would_deny: 0, lost: {} });
    expect(text()).toMatch(
      new RegExp(`${id} · mysql · enforce · policy .*\n.* pid \\d+: .*\n.* 2 calls, 1 denied`),
    );
    engine.stdin?.end();
    await new Promise((resolve) => engine.once('exit', resolve));
    expect(now()).toBeUndefined();
  });

  test('is put on file again only when something changed', async () => {
    await until(() => now()?.counts !== null, 'a first count');
    const written = () => statSync(entryOf(id)).ino;
    const before = written();
    await sleep(1200);
    expect(written()).toBe(before);
    tell('exec 4<>/dev/udp/127.0.0.1/9');
    await until(() => written() !== before, 'another entry');
  });

  test('whose Acyclic was killed goes on guarded, and looking at it clears nothing', async () => {
    tell('(exec 3<>/dev/tcp/192.0.2.7/443)');
    await until(() => now()?.counts?.denials === 1, 'a denial');
    const { pid } = now() ?? {};
    const acyclicPid = JSON.parse(readFileSync(entryOf(id), 'utf8')).engine.pid;
    process.kill(acyclicPid, 'SIGKILL');
    try {
      await until(() => now()?.guarded_by === 'kernel', 'no engine');
      const said = status();
      expect(runIn(said, id)).toMatchObject({ pid, counts: { calls: 1, denials: 1 } });
      expect(said.degraded).toContainEqual({
        code: 'no-engine',
        message: `run ${id} lost Acyclic and goes on under its last policy, without names`,
      });
      expect(text()).toMatch(
        new RegExp(`degraded .*\n(.*\n)*.*${id}.*\n.*\n.*\n.* without Acyclic, which was killed`),
      );
    } finally {
      process.kill(pid ?? 0, 'SIGKILL');
    }
    await until(() => now()?.guarded_by === 'nobody', 'no command');
    expect(existsSync(entryOf(id))).toBe(true);
    expect(status().degraded.filter(({ message }) => message.includes(id))).toEqual([]);
    place.run(['run', '--quiet', '--state', state, '--', 'true']);
  });
});

test('a run outlives a full /run, and is put on file when there is room again', () => {
  const command = `cat /dev/zero > /run/full 2>/dev/null; exec 4<>/dev/udp/127.0.0.1/9; sleep 1.2
"$0" status --json > full.json; rm /run/full; sleep 1.2; "$0" status --json > room.json; exit 7`;
  const script =
    'mount -t tmpfs -o size=64k none /run; exec "$0" run --quiet -p policy.yaml -- bash -c "$1" "$0"';
  const { status: exit, stderr } = place.bare(['unshare', '--mount', 'sh', '-c', script, acyclic, command]);
  expect({ exit, stderr }).toEqual({ exit: 7, stderr: '' });
  const callsIn = (name: string) =>
    JSON.parse(readFileSync(join(place.directory, name), 'utf8')).runs.map(
      ({ counts }: RunStatus) => counts?.calls ?? 0,
    );
  expect(callsIn('full.json')).toEqual([0]);
  expect(callsIn('room.json')[0]).toBeGreaterThan(0);
});

describe('what is on file', () => {
  const OLD = '01ARZ3NDEKTSV4RRFFQ69G5FAW';
  const NEW = '01ARZ3NDEKTSV4RRFFQ69G5FAX';
  const self = { pid: process.pid, start: startOf(process.pid) };
  const old = {
    v: 1,
    id: OLD,
    engine: self,
    command: self,
    cgroup: '/none',
    origin: '/',
    leftover: 'release',
  };
  const counts = { calls: 9, denials: 0, would_deny: 0, lost: { 'event ring full': 3, 'store full': 4 } };
  beforeAll(() => {
    mkdirSync('/run/acyclic/runs', { recursive: true, mode: 0o700 });
    writeFileSync(entryOf(OLD), JSON.stringify(old));
    writeFileSync(entryOf(NEW), JSON.stringify({ ...old, id: NEW, mode: 'audit', counts }));
  });
  afterAll(() => {
    for (const id of [OLD, NEW]) rmSync(entryOf(id), { force: true });
  });

  test('of an earlier version is read, and what it does not say is null', () => {
    expect(runIn(status(), OLD)).toMatchObject({
      ...{ deployment: null, mode: null, policy: null, guarded_by: 'engine', command: null, counts: null },
    });
    expect(text()).toContain('nothing counted yet');
  });

  test('losses are added up by cause, and are a reason to look', () => {
    const { lost, degraded } = status();
    expect(lost).toMatchObject(counts.lost);
    expect(degraded).toContainEqual({
      code: 'lost-events',
      message: '7 events of runs in progress are lost',
    });
    expect(text()).toMatch(
      / {2}degraded +7 events.*\n(.*\n)* {2}lost +3 \(event ring full\)\n +4 \(store full\)\n/,
    );
  });
});

test('records that wait are a reason to look', () => {
  const spool = join(state, 'spool');
  mkdirSync(spool, { recursive: true });
  writeFileSync(join(spool, 'one.spool'), '{}\n');
  try {
    const said = status();
    expect(said.spool).toEqual({ files: [join(spool, 'one.spool')], bytes: 3 });
    expect(said.degraded.map(({ code }) => code)).toContain('spool');
    expect(text()).toMatch(/ {2}spool +1 file, 3 bytes wait/);
  } finally {
    rmSync(spool, { recursive: true });
  }
  expect(status().spool).toEqual({ files: [], bytes: 0 });
});

describe('the installed policy', () => {
  const day = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  /** In a mount namespace whose /etc has this policy and nothing else. */
  const installed = (yaml: string, then = '') => [
    ...['unshare', '--mount', 'sh', '-c'],
    `mount -t tmpfs none /etc; mkdir /etc/acyclic; printf %s "$0" > /etc/acyclic/acyclic.yaml; ${then} exec "$@"`,
    yaml,
  ];
  const waived = `${STRICT.trimEnd()}
    waivers:
      - { service: migrations, until: ${day(3)}, owner: "@sre", reason: OPS-1 }
      - { service: github, until: 2020-01-01 }
  web:
    deploys: [mysql]
    mode: audit
    waivers: [{ service: github, until: ${day(300)} }]
`;

  test('is told with its deployments, and the waivers that lapse', () => {
    const { policy: told, degraded } = status(installed(waived));
    expect(told).toEqual({
      ...{ state: 'loaded', path: '/etc/acyclic', id: expect.stringMatching(/^[0-9a-f]{7}$/) },
      deployments: [
        { name: 'mysql', mode: 'enforce', source: 'acyclic.yaml:11' },
        { name: 'web', mode: 'audit', source: 'acyclic.yaml:17' },
      ],
      waivers: [
        {
          ...{ deployment: 'mysql', service: 'github', until: '2020-01-01', lapsed: true },
          ...{ owner: null, reason: null, source: 'acyclic.yaml:16' },
        },
        {
          ...{ deployment: 'mysql', service: 'migrations', until: day(3), lapsed: false },
          ...{ owner: '@sre', reason: 'OPS-1', source: 'acyclic.yaml:15' },
        },
      ],
    });
    expect(degraded.filter(({ code }) => code === 'policy')).toEqual([]);
    const shown = text(...installed(waived));
    expect(shown).toMatch(/ {2}policy +\/etc\/acyclic, [0-9a-f]{7}, 2 deployments\n +mysql +enforce/);
    expect(shown).toMatch(/ {2}waivers +mysql: that of github has lapsed with 2020-01-01 \(UTC\)/);
  });

  test('that has a mistake is told with the first, and how to see them all', () => {
    const wrapper = installed(STRICT.replace('depends_on: [mysql]', 'depends_on: [mysqll]'));
    const { policy: told, degraded } = status(wrapper);
    expect(told).toMatchObject({ state: 'mistaken', mistakes: 1, first: expect.stringContaining('mysqll') });
    expect(degraded.map(({ code }) => code)).toContain('policy');
    expect(text(...wrapper)).toMatch(
      /1 mistake, see: acyclic policy check\n +\/etc\/acyclic\/acyclic.yaml:\d+:\d+: /,
    );
  });

  test.each(['chmod 700 /etc/acyclic;', 'chmod 600 /etc/acyclic/acyclic.yaml;'])(
    'is not said to be absent where it may not be read: %s',
    (then) => {
      const wrapper = [...installed(STRICT, then), ...NOBODY];
      expect(status(wrapper)).toMatchObject({ policy: { state: 'unseen' }, degraded: [] });
      expect(text(...wrapper)).toMatch(/the policy in \/etc\/acyclic: try sudo/);
    },
  );
});

test('an ordinary user is told what cannot be seen, and the rest', () => {
  mkdirSync('/run/acyclic/runs', { recursive: true, mode: 0o700 });
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const said = status(NOBODY);
  expect(said).toMatchObject({ runs: null, lost: null, spool: null, degraded: [] });
  expect(said.unseen).toHaveLength(2);
  expect(said.kernel.features).toMatchObject({
    btf: true,
    sock_diag: null,
    connect_unix: null,
    tracefs: null,
  });
  expect(text(...NOBODY)).toMatch(/ {2}not seen +runs in progress.*: try sudo\n/);
});

test('the first line says that no daemon runs, and the exit status is 3', () => {
  const { status: exit, stdout, stderr } = place.bare([acyclic, 'status', '--state', state]);
  expect({ exit, stderr }).toEqual({ exit: 3, stderr: '' });
  expect(stdout).toMatch(/^acyclic \d+\.\d+\.\d+: not running: there is no daemon, /);
  const said = status();
  expect(said).toMatchObject({ v: 1, state: 'not-running', daemon: null, unseen: [] });
  expect(said.kernel.features).toMatchObject({ btf: true, tracefs: true, sock_diag: true });
  expect(place.bare([acyclic, 'status', '--help']).stdout).toContain('Exit status: 0 the daemon runs');
  expect(place.bare([acyclic, 'status', '--bogus']).status).toBe(2);
});

test('fits a terminal', () => {
  const command = `stty cols 70; ${acyclic} status --state ${state}`;
  const { stdout } = place.bare(['script', '-qec', command, '/dev/null'], '', {
    ...process.env,
    TERM: 'xterm',
  });
  const lines = stripVTControlCharacters(stdout).split('\r\n');
  expect(lines.length).toBeGreaterThan(5);
  expect(lines.filter((line) => [...line].length > 70)).toEqual([]);
});
