import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GROUP, MEMBER, STRANGER } from '../daemon/harness.ts';
import { acyclic, openPlace, type Place, remains, until } from './harness.ts';
import { callOf, openStub, type StubDaemon } from './stub-daemon.ts';
import { transparencyCases } from './transparency-cases.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const as = ({ uid, gid }: { uid: number; gid: number }) => [
  ...['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups'],
];

let place: Place;
let daemon: StubDaemon;
beforeAll(() => {
  place = openPlace();
  chmodSync(place.directory, 0o777);
});
afterAll(() => place.close());
beforeEach(async () => {
  daemon = await openStub();
});
afterEach(async () => {
  await daemon.close();
  expect(remains()).toEqual([]);
});

const asked = (...args: string[]) => [acyclic, 'run', '--socket', daemon.socket, ...args];
const run = (...args: string[]) => place.bare(asked(...args));

/** A run that goes on; `said` is what came on standard error so far. */
function begin(args: readonly string[], wrapper: readonly string[] = []) {
  const child = place.start([...wrapper, ...asked(...args)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [said, out] = ['', ''];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const ended = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal ?? '')),
  );
  return {
    child,
    ended,
    said: () => said,
    out: () => out,
    has: (text: string) => until(() => said.includes(text), text),
  };
}

const times = (text: string, part: string) => text.split(part).length - 1;

describe('the command finds everything as without Acyclic', () => {
  transparencyCases(
    () => place,
    (...command) => asked('--quiet', '--', ...command),
  );
});

test('the command is the caller’s own: user, groups, environment, directory, and the run’s cgroup', () => {
  const look = 'id -u; id -G; pwd; echo $WORD; grep 0:: /proc/self/cgroup';
  const argv = [...as(MEMBER), ...asked('-d', 'mysql', '--', 'sh', '-c', look)];
  const { status, stdout, stderr } = place.bare(argv, '', { ...process.env, WORD: 'kept' });
  const [, id] = /^acyclic: guarding mysql · enforce · policy 3f9c2a1 · run (\w{26})$/m.exec(stderr) ?? [];
  expect(id).toBeDefined();
  expect(stdout.split('\n').slice(0, 4)).toEqual([`${MEMBER.uid}`, `${GROUP.gid}`, place.directory, 'kept']);
  expect(stdout).toMatch(new RegExp(`0::.*/acyclic-${id}\n$`));
  expect(stderr).toMatch(new RegExp(`acyclic: run ${id} · 0 calls to 0 destinations · 0 denied · exit 0`));
  expect(status).toBe(0);
});

test('exit statuses are those of a run that is guarded by its own command', () => {
  const plain = place.file('plain', 'not executable');
  chmodSync(plain, 0o644);
  const script = place.file('script', 'echo a script without interpreter "$1"');
  const lost = place.file('lost', '#!/nonexistent\n');
  expect(run('--', 'sh', '-c', 'exit 3').status).toBe(3);
  expect(run('--', 'sh', '-c', 'kill -9 $$').status).toBe(137);
  expect(run('--timeout', '200ms', '--', 'sleep', '20').status).toBe(124);
  expect(run('--', plain).status).toBe(126);
  expect(run('--', 'no-such-command').status).toBe(127);
  expect(run('--', lost)).toMatchObject({ status: 127, stderr: expect.stringContaining('interpreter') });
  expect(run('--', script, 'runs')).toMatchObject({
    ...{ status: 0, stdout: 'a script without interpreter runs\n' },
  });
});

test('denials are told as they happen and once, events go to the report, and what was found fails the run', async () => {
  const report = join(place.directory, 'calls.jsonl');
  const going = begin([
    '--report',
    report,
    '--fail-on',
    'deny',
    '--',
    'sh',
    '-c',
    'echo go; read line < pipe',
  ]);
  place.bare(['mkfifo', 'pipe']);
  await until(() => going.out().includes('go'), 'the command');
  await daemon.say({ kind: 'denied', ...callOf(2, 'github.com', 'deny') });
  await going.has('acyclic: denied curl[4242] → github.com:443/tcp (192.0.2.7)');
  expect(going.said()).toMatch(
    / {2}rule +default \(acyclic.yaml:3\)\n.* {2}process .*\n {2}saw +connect\(\) = EPERM/s,
  );
  await daemon.say({ kind: 'event', ...callOf(1, 'mirror.internal', 'allow') });
  await daemon.say({ kind: 'event', ...callOf(2, 'github.com', 'deny') });
  place.bare(['sh', '-c', 'echo > pipe']);
  expect(await going.ended).toBe(122);
  expect(times(going.said(), 'denied curl[4242]')).toBe(1);
  expect(going.said()).toContain('exit 122, command 0');
  expect(place.report('calls.jsonl').map(({ kind, verdict }) => verdict ?? kind)).toEqual([
    ...['allow', 'deny', 'summary'],
  ]);
  place.bare(['rm', 'pipe']);
});

test('what is left running is released and listed, or killed', () => {
  const leave = 'setsid sleep 300 >/dev/null 2>&1 & echo $!';
  const left = run('--', 'bash', '-c', leave);
  expect(left.stderr).toMatch(/left +left\[\d+\] goes on, unguarded/);
  process.kill(Number(left.stdout));
  const killed = run('--leftover', 'kill', '--', 'bash', '-c', leave);
  expect(killed.stderr).toMatch(/left +left\[\d+\] killed/);
  expect(existsSync(`/proc/${Number(killed.stdout)}/exe`)).toBe(false);
});

describe('a command executes nothing outside its run', () => {
  /** The child that waits to be let go, once there is one. */
  const heldBy = async (client: number | undefined): Promise<number> => {
    const children = () => readFileSync(`/proc/${client}/task/${client}/children`, 'utf8').trim();
    const isNode = (pid: number | string | undefined) =>
      existsSync(`/proc/${pid}/exe`) && readlinkSync(`/proc/${pid}/exe`).endsWith('/node');
    // The launcher, which becomes the client, has children too.
    await until(() => isNode(client) && isNode(children()), 'the held command');
    return Number(children());
  };

  test('when the client is killed before it is in', async () => {
    await daemon.fault('hang');
    const going = begin(['--', 'touch', 'ran'], as(MEMBER));
    const held = await heldBy(going.child.pid);
    going.child.kill('SIGKILL');
    await going.ended;
    await until(() => !existsSync(`/proc/${held}/exe`), 'the held command to go with its client');
    expect(existsSync(join(place.directory, 'ran'))).toBe(false);
    await clear();
  });

  test('when the daemon refuses it, or says that it moved it and did not', async () => {
    await daemon.fault('refuse');
    expect(run('--', 'touch', 'ran')).toMatchObject({
      status: 125,
      stderr: expect.stringMatching(/the stub refuses\n$/),
    });
    await daemon.fault('leave');
    expect(run('--', 'touch', 'ran')).toMatchObject({
      status: 125,
      stderr: expect.stringContaining('did not put the command into a cgroup of its own'),
    });
    expect(existsSync(join(place.directory, 'ran'))).toBe(false);
  });

  test('when a signal comes first, and then its status is 128+n', async () => {
    await daemon.fault('hang');
    const going = begin(['--', 'touch', 'ran']);
    await heldBy(going.child.pid);
    going.child.kill('SIGTERM');
    expect(await going.ended).toBe(143);
    expect(going.said()).toContain('ended by SIGTERM before the command was started');
    expect(existsSync(join(place.directory, 'ran'))).toBe(false);
  });

  /** The stub forgets no run of a client that died; a real daemon does this by itself. */
  async function clear(): Promise<void> {
    for (const what of remains()) if (what.startsWith('/sys/fs/cgroup/')) place.bare(['rmdir', what]);
  }
});

describe('what cannot be asked of the daemon is an error, with the reason', () => {
  test.each([
    [['--allow', 'github.com'], /--allow github.com loosens the policy/],
    [['-p', '/tmp/own.yaml'], /-p names a policy of your own/],
    [['--state', '/tmp/x'], /--state: the daemon keeps/],
    [['--fail-on', 'new', '--baseline', '/tmp/x'], /--baseline: the daemon compares/],
  ])('%s', (options, reason) => {
    const argv = [...as(MEMBER), ...asked(...options, '--', 'echo', 'ran')];
    expect(place.bare(argv)).toMatchObject({
      status: 125,
      stdout: '',
      stderr: expect.stringMatching(reason),
    });
  });

  test('who is not in the group is told so', () => {
    const argv = [...as(STRANGER), ...asked('--', 'echo', 'ran')];
    expect(place.bare(argv)).toMatchObject({
      ...{ status: 125, stdout: '' },
      stderr: expect.stringMatching(/you may not use .*; ask to be put into the group acyclic/),
    });
  });

  test('a socket that was named and is not there, or whose daemon is dead, is never done without', async () => {
    const missing = [acyclic, 'run', '--socket', join(place.directory, 'none'), '--', 'echo', 'ran'];
    await daemon.kill();
    for (const argv of [missing, asked('--', 'echo', 'ran')])
      expect(place.bare(argv)).toMatchObject({
        ...{ status: 125, stdout: '' },
        stderr: expect.stringMatching(/no daemon answers at .*--break-glass REASON\n$/),
      });
    await daemon.start();
  });
});

describe('--break-glass', () => {
  test('is asked of the daemon, in audit', () => {
    const { status, stderr } = run('--break-glass', 'INC-7', '--', 'true');
    expect({ status }).toEqual({ status: 0 });
    expect(stderr).toContain('acyclic: BREAK GLASS: nothing is denied to this run: INC-7');
    expect(stderr).toContain('· audit ·');
  });

  test('runs the command of an ordinary user when the daemon is hung', async () => {
    const path = join(place.directory, 'hung');
    const server = createServer((socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    chmodSync(path, 0o666);
    const argv = [
      ...as(MEMBER),
      acyclic,
      'run',
      '--socket',
      path,
      '--break-glass',
      'INC-8',
      '--',
      'echo',
      'ran',
    ];
    // The server is of this process, which must not wait in a system call for the client.
    const child = spawn('nsenter', [`--net=/run/netns/${place.namespace}`, '--', ...argv], {
      cwd: place.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        text += data;
      });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    expect(text).toContain('ran\n');
    expect(text).toContain('UNGUARDED');
    server.close();
  });
});

test('the client works where neither libbpf nor the whole addon is', () => {
  const tree = join(place.directory, 'tree');
  mkdirSync(join(tree, 'build'), { recursive: true });
  for (const part of ['bin', 'build/cli', 'build/acyclic-process.node'])
    cpSync(join(root, part), join(tree, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  expect(readdirSync(join(tree, 'build')).sort()).toEqual(['acyclic-process.node', 'cli']);
  const [, ...args] = asked('--', 'sh', '-c', 'exit 6');
  expect(place.bare([join(tree, 'bin/acyclic'), ...args]).status).toBe(6);
});

describe('a daemon that dies during a run', () => {
  const WAIT = ['sh', '-c', 'echo go; while [ ! -e go-on ]; do sleep 0.05; done; exit 4'];

  afterEach(() => void place.bare(['rm', '-f', 'go-on']));

  test('and comes back: said once each, nothing told twice, nothing missed', async () => {
    const report = join(place.directory, 'death.jsonl');
    const going = begin(['--report', report, '--', ...WAIT], as(MEMBER));
    await until(() => going.out().includes('go'), 'the command');
    await daemon.say({ kind: 'denied', ...callOf(1, 'one.example', 'deny') });
    await daemon.say({ kind: 'event', ...callOf(1, 'one.example', 'deny') });
    await going.has('denied curl[4242] → one.example');
    await daemon.kill();
    await going.has('the daemon is away');
    await daemon.start();
    await going.has('the daemon is back');
    // Its message was lost with the daemon that died.
    await daemon.say({ kind: 'event', ...callOf(2, 'two.example', 'deny') });
    await going.has('denied curl[4242] → two.example');
    place.file('go-on', '');
    expect(await going.ended).toBe(4);
    const said = going.said();
    for (const part of [
      'the daemon is away',
      'acyclic: the daemon is back',
      '→ one.example:443/tcp (',
      '→ two.example:443/tcp (',
    ])
      expect([part, times(said, part)]).toEqual([part, 1]);
    const hosts = place
      .report('death.jsonl')
      .map(({ kind, destination }) =>
        kind === 'summary' ? kind : (destination as { names: string[] }).names[0],
      );
    expect(hosts).toEqual(['one.example', 'two.example', 'summary']);
  });

  test('and does not tell everything: how much that is is said, and where it is', async () => {
    await daemon.fault('untold');
    try {
      const { stderr } = run('--report', join(place.directory, 'untold.jsonl'), '--', 'true');
      expect(stderr).toMatch(/^acyclic: 3 calls were not told here, nor are they in the report: /m);
      expect(stderr).toMatch(/acyclic audit list --run \w{26}\n/);
    } finally {
      await daemon.fault(null);
    }
    expect(run('--', 'true').stderr).not.toContain('were not told');
  });

  test('and does not come back: the command ends as it would, and what is missing is said', async () => {
    const going = begin(['--', ...WAIT]);
    await until(() => going.out().includes('go'), 'the command');
    await daemon.kill();
    await going.has('the daemon is away');
    place.file('go-on', '');
    expect(await going.ended).toBe(4);
    expect(going.said()).toMatch(/the summary of run \w{26} is missing: no daemon answers/);
    for (const what of remains()) place.bare(['rmdir', what]);
    await daemon.start();
  });
});
