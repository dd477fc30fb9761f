import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/model/event.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { acyclic, remains } from './harness.ts';

const PROCESSES = 10_000;
const BURST = 100_000;

let lab: Lab;
let program: string;
beforeAll(async () => {
  lab = await startLab({ tls: false, etcHosts: ['192.0.2.99 b.example a-b.example c.example'] });
  program = path.join(lab.dir, 'once');
  const source = fileURLToPath(new URL('fixtures/once.c', import.meta.url));
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source]);
});
afterAll(async () => {
  await lab.stop();
  expect(remains()).toEqual([]);
});

async function observed(argv: readonly string[], ...options: string[]) {
  const report = path.join(lab.dir, 'report.jsonl');
  const command = [acyclic, 'run', '--quiet', '--report', report, ...options, '--', ...argv];
  const result = await lab.client.run(command, { timeoutMs: 120_000 });
  const lines = readFileSync(report, 'utf8').trimEnd().split('\n');
  const all = lines.map((line) => JSON.parse(line));
  return { ...result, summary: all.pop(), events: all as AuditEvent[] };
}

const python = (text: string) => ['python3', '-c', text];
const NON_BLOCKING = `
import errno, select, socket, sys
for address, port in (('10.86.0.20', 80), ('192.0.2.99', 81), ('192.0.2.66', 82), ('198.51.100.9', 83)):
    s = socket.socket(); s.setblocking(False)
    # TCP_USER_TIMEOUT: the kernel gives up long before its minutes are over.
    s.setsockopt(socket.IPPROTO_TCP, 18, 300)
    try: s.connect((address, port))
    except BlockingIOError: select.select([], [s], [], 20); print(port, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    except OSError as e: print(port, e.errno)
    s.close()
`;

describe('how a call ended', () => {
  test('a non-blocking connect that succeeds, is refused, times out, or finds no way is told apart', async () => {
    const { events, stdout } = await observed(python(NON_BLOCKING));
    const ends = Object.fromEntries(events.map(({ destination, outcome }) => [destination?.port, outcome]));
    expect(ends, stdout).toMatchObject({
      80: { errno: null, result: 'connected', bytes_sent: 0, bytes_received: 0 },
      81: { errno: 'ECONNREFUSED', result: 'refused' },
      82: { errno: 'ETIMEDOUT', result: 'timed-out' },
      83: { errno: 'EHOSTUNREACH', result: 'unreachable' },
    });
    expect(ends[82]?.duration_us).toBeGreaterThan(250_000);
  });

  test('bytes of a connection are payload, both ways, and are summed by destination', async () => {
    const { events, summary } = await observed(
      python(`
import socket
for n in (10, 100_000):
    s = socket.create_connection(('10.86.0.60', 7)); s.sendall(bytes(n)); got = 0
    while got < n: got += len(s.recv(65536))
    s.close()`),
    );
    expect(events.map(({ outcome }) => [outcome?.bytes_sent, outcome?.bytes_received])).toEqual([
      [10, 10],
      [100_000, 100_000],
    ]);
    expect(summary.traffic).toEqual([
      { destination: '10.86.0.60:7/tcp', bytes_sent: 100_010, bytes_received: 100_010 },
    ]);
  });

  test('bytes of a connection that outlasts its event are in the sum of its destination', async () => {
    const { events, summary } = await observed(
      python(`
import socket, time
s = socket.create_connection(('10.86.0.60', 7)); time.sleep(6); s.sendall(bytes(1000)); got = 0
while got < 1000: got += len(s.recv(65536))
s.close()`),
    );
    expect(events).toMatchObject([{ outcome: { result: 'connected', bytes_sent: null } }]);
    expect(summary.traffic).toEqual([
      { destination: '10.86.0.60:7/tcp', bytes_sent: 1000, bytes_received: 1000 },
    ]);
  }, 60_000);

  test('a datagram that cannot be sent, and time lost to a destination that hangs', async () => {
    const { events, summary } = await observed(
      python(`
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
try: s.sendto(b'x', ('198.51.100.9', 9))
except OSError: pass
for i in range(3):
    s = socket.socket(); s.setsockopt(socket.IPPROTO_TCP, 18, 400)
    try: s.connect(('192.0.2.66', 80))
    except OSError: pass`),
    );
    expect(events[0]).toMatchObject({ kind: 'send', outcome: { errno: 'EHOSTUNREACH' } });
    const [most] = summary.waiting;
    expect(most).toMatchObject({ destination: '192.0.2.66:80/tcp', outcome: 'timed-out', attempts: 3 });
    expect(most.wait_ms).toBeGreaterThan(1000);
  });

  test('a connection that hangs for longer than events are held, or is given up, is named with its time', async () => {
    const { events, summary } = await observed(
      python(`
import socket, threading
def hang(seconds, patient):
    s = socket.socket()
    if patient: s.setsockopt(socket.IPPROTO_TCP, 18, seconds * 1000)
    else: s.settimeout(seconds)
    try: s.connect(('192.0.2.66', 80 + seconds))
    except OSError: pass
    s.close()
for t in [threading.Thread(target=hang, args=a) for a in ((6, True), (7, False))]: t.start()`),
      ...['--label', 'test=hangs', '--state', path.join(lab.dir, 'hangs')],
    );
    const ends = Object.fromEntries(events.map(({ destination, outcome }) => [destination?.port, outcome]));
    expect(ends).toMatchObject({
      86: { errno: 'ETIMEDOUT', result: 'timed-out' },
      87: { errno: null, result: 'abandoned' },
    });
    expect(summary.waiting).toMatchObject([
      { destination: '192.0.2.66:87/tcp', outcome: 'abandoned', attempts: 1 },
      { destination: '192.0.2.66:86/tcp', outcome: 'timed-out', attempts: 1 },
    ]);
    for (const { wait_ms } of summary.waiting) expect(wait_ms).toBeGreaterThan(5900);
    const stats = ['audit', 'stats', '--json', '--state', path.join(lab.dir, 'hangs')];
    const { stdout } = await lab.client.run([acyclic, ...stats]);
    const counts = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(counts.map(({ failed, wait_ms }) => [failed, wait_ms > 5900])).toEqual([
      [1, true],
      [1, true],
    ]);
  }, 60_000);

  test('a denied call has the time it took', async () => {
    const { events } = await observed(
      ['bash', '-c', 'exec 3<>/dev/tcp/10.86.0.20/80'],
      ...['--enforce', '--deny', '10.86.0.20', '-p', policyFile()],
    );
    expect(events).toMatchObject([{ verdict: 'deny', outcome: { errno: 'EPERM' } }]);
    expect(events[0]?.outcome?.duration_us).toBeGreaterThan(0);
  });
});

function policyFile(): string {
  const file = path.join(lab.dir, 'policy.yaml');
  execFileSync('tee', [file], {
    input: 'version: 1\nservices: { d: { hosts: [d.example] } }\ndeployments: { d: { default: allow } }\n',
  });
  return file;
}

describe('what no hook of a cgroup sees', () => {
  test('work handed to others over a UNIX socket, packet and vsock sockets', async () => {
    const script = `
import os, socket
def listen(path):
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(); return s
os.makedirs('run/containerd', exist_ok=True)
keep = [listen('docker.sock'), listen('run/containerd/containerd.sock'), listen('mysqld.sock'), listen('\\0/tmp/dbus-x')]
for path in (os.path.abspath('docker.sock'), os.path.abspath('run/containerd/containerd.sock'), 'mysqld.sock', '\\0/tmp/dbus-x'):
    socket.socket(socket.AF_UNIX).connect(path)
try: socket.socket(socket.AF_UNIX).connect('/nowhere/docker.sock')
except OSError: pass
socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
try: socket.socket(socket.AF_VSOCK)
except OSError: pass`;
    const { events, code, stderr } = await observed(python(`import os; os.chdir('${lab.dir}')${script}`));
    expect(code, stderr).toBe(0);
    const told = events.map(({ kind, destination, rule }) => [
      kind,
      destination?.protocol,
      path.basename(destination?.names[0] ?? ''),
      rule?.reason?.split(' ')[0],
    ]);
    expect(told).toContainEqual(['exec-outside', 'unix', 'docker.sock', 'docker']);
    expect(told).toContainEqual(['exec-outside', 'unix', 'containerd.sock', 'containerd']);
    expect(told).toContainEqual(['exec-outside', 'unix', 'dbus-x', 'dbus']);
    expect(told).toContainEqual(['connect', 'packet', '', 'no']);
    expect(told.filter(([, protocol]) => protocol === 'unix')).toHaveLength(3);
  });

  test('--no-syscalls does without them', async () => {
    const script = python('import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)');
    expect((await observed(script, '--no-syscalls')).events).toEqual([]);
    expect((await observed(script)).events).toHaveLength(1);
  });

  test('a call to loopback names who listens there, outside the run', async () => {
    const server = lab.client.spawn(
      python(`import socket; s = socket.create_server(('127.0.0.1', 4711)); print('ready', flush=True)
while True: s.accept()`),
    );
    await once(server.stdout as NodeJS.ReadableStream, 'data');
    const closed = once(server, 'close');
    try {
      const inside = `import socket; s = socket.create_server(('127.0.0.1', 4712))
for port in (4711, 4712): socket.create_connection(('127.0.0.1', port))`;
      const { events } = await observed(python(inside));
      const listeners = Object.fromEntries(
        events.map(({ destination, listener }) => [destination?.port, listener]),
      );
      expect(listeners[4711]).toMatchObject({ comm: 'python3' });
      expect(listeners[4712]).toBeUndefined();
    } finally {
      server.kill('SIGKILL');
      await closed;
    }
  });
});

describe('every call has its caller', () => {
  test('of several names that lead there, the one on its command line comes first', async () => {
    const { events } = await observed(['bash', '-c', 'exec 3<>/dev/tcp/b.example/7']);
    expect(events.map(({ destination }) => destination?.names)).toEqual([
      ['b.example', 'a-b.example', 'c.example'],
    ]);
  });

  test(`${PROCESSES} processes that connect once and exit: each its own pid, argv and ancestry`, async () => {
    const { events, summary } = await observed([program, 'many', String(PROCESSES), '9']);
    expect(summary.lost).toEqual({});
    expect(events).toHaveLength(PROCESSES);
    const numbers = new Set(events.map(({ process }) => process?.argv?.[2]));
    expect(numbers.size).toBe(PROCESSES);
    for (const { process, outcome } of events) {
      expect(process?.argv).toMatchObject(['once', 'one', expect.stringMatching(/^\d+$/), '9']);
      expect(process?.start).not.toBeNull();
      expect(process?.exe).toBe(program);
      expect(process?.ancestry).toHaveLength(1);
      expect(process?.ancestry[0]?.argv?.slice(1)).toEqual(['many', String(PROCESSES), '9']);
      expect(outcome?.errno).toBe('ECONNREFUSED');
    }
    const lives = new Set(events.map(({ process }) => `${process?.pid} ${process?.start}`));
    expect(lives.size).toBe(PROCESSES);
  }, 180_000);

  test.each([
    ['', '"$0" burst "$1" 9'],
    // The reader stands still, so that most find the ring full.
    [' while nobody reads', 'kill -STOP $PPID; "$0" burst "$1" 9; kill -CONT $PPID'],
  ])(
    `${BURST} calls in a burst%s are recorded, or counted as lost`,
    async (_, script) => {
      const { events, summary } = await observed(['bash', '-c', script, program, String(BURST)]);
      const recorded = events.reduce((sum, { count }) => sum + count, 0);
      const lost = summary.lost['event ring full'] ?? 0;
      expect(recorded).toBe(summary.calls);
      expect(recorded).toBeLessThanOrEqual(BURST);
      expect(recorded + lost).toBe(BURST);
    },
    180_000,
  );
});
