import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, openSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { loadBinding } from '../../src/kernel/binding.ts';
import { thrownBy } from './fixtures/fixture.ts';

const native = loadBinding();
const undo: (() => void)[] = [];
const TCP = 6;

afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

interface Pair {
  readonly server: Server;
  readonly near: Socket;
  readonly far: Socket;
}

/** A connection and both its ends. */
async function pair(address: { host: string; port: number } | { path: string }): Promise<Pair> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(address, resolve));
  undo.push(() => server.close());
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const bound = server.address();
  const near = connect(
    typeof bound === 'object' && bound ? { host: bound.address, port: bound.port } : { path: `${bound}` },
  );
  await new Promise((resolve) => near.once('connect', resolve));
  const far = await accepted;
  undo.push(
    () => near.destroy(),
    () => far.destroy(),
  );
  far.on('error', () => {});
  return { server, near, far };
}

function descriptor(socket: Socket | Server): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}

function key(socket: Socket, cookie: bigint | null = null) {
  const v6 = socket.localFamily === 'IPv6';
  const address = Buffer.from(v6 ? [...Array<number>(15).fill(0), 1] : [127, 0, 0, 1]);
  return {
    protocol: TCP,
    family: v6 ? 10 : 2,
    source: address,
    sourcePort: socket.localPort ?? 0,
    destination: address,
    destinationPort: socket.remotePort ?? 0,
    cookie,
  };
}

test('a socket tells what it is, and both its ends', async () => {
  const { near, server } = await pair({ host: '127.0.0.1', port: 0 });
  const loopback = Buffer.from([127, 0, 0, 1]);
  expect(native.socketInfo(descriptor(near))).toEqual({
    domain: 2,
    type: 1,
    protocol: TCP,
    listening: false,
    local: { address: loopback, port: near.localPort },
    peer: { address: loopback, port: near.remotePort },
  });
  expect(native.socketInfo(descriptor(server))).toMatchObject({ listening: true, peer: null });
  const file = openSync('/dev/null', 'r');
  expect(native.socketInfo(file)).toBeNull();
  native.closeFd(file);
  expect(native.socketInfo(999_999)).toBeNull();
});

test('a socket of another process tells the same; what is none, or gone, nothing', async () => {
  const { near } = await pair({ host: '127.0.0.1', port: 0 });
  const child = spawn('sleep', ['60'], { stdio: ['ignore', near, 'ignore'] });
  undo.push(() => child.kill('SIGKILL'));
  const pid = child.pid ?? 0;
  expect(native.socketInfoIn(pid, 1)).toEqual(native.socketInfo(descriptor(near)));
  expect(native.socketInfoIn(pid, 0)).toBeNull();
  expect(native.socketInfoIn(pid, 999)).toBeNull();
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  expect(native.socketInfoIn(pid, 1)).toBeNull();
});

test('an IPv6 socket has addresses of 16 bytes', async () => {
  const { near } = await pair({ host: '::1', port: 0 });
  const address = Buffer.from([...Array<number>(15).fill(0), 1]);
  expect(native.socketInfo(descriptor(near))).toMatchObject({
    domain: 10,
    peer: { address, port: near.remotePort },
  });
});

test('the peer of a UNIX socket is known, that of another is not', async () => {
  const { far } = await pair({ path: join(tmpdir(), `acyclic-peer-${process.pid}`) });
  const credentials = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
  expect(native.peerCredentials(descriptor(far))).toEqual({ ...credentials, groups: ownGroups() });
  expect(native.socketInfo(descriptor(far))).toMatchObject({ domain: 1, local: null, peer: null });
  const tcp = await pair({ host: '127.0.0.1', port: 0 });
  expect(thrownBy(() => native.peerCredentials(descriptor(tcp.far))).code).toBe('ENOTCONN');
});

/** Supplementary groups of this process, as the kernel has them. */
function ownGroups(): number[] {
  const line = /^Groups:(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return line.trim().split(' ').filter(Boolean).map(Number);
}

const PEER = `
  const socket = require('node:net').connect(process.argv[1]);
  socket.on('connect', () => process.stdout.write('connected'));
`;

test('the peer has the user and the groups it connected with, and a pidfd that is its own', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'acyclic-peer-')), 'socket');
  undo.push(() => rmSync(join(path, '..'), { recursive: true }));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  undo.push(() => server.close());
  chmodSync(join(path, '..'), 0o755);
  chmodSync(path, 0o666);
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const options = [
    '--reuid=40001',
    '--regid=40002',
    '--groups=40003,40004',
    process.execPath,
    '-e',
    PEER,
    path,
  ];
  const peer = spawn('setpriv', options, { stdio: ['ignore', 'pipe', 'inherit'] });
  undo.push(() => peer.kill('SIGKILL'));
  const far = await accepted;
  undo.push(() => far.destroy());
  expect(native.peerCredentials(descriptor(far))).toEqual({
    ...{ pid: peer.pid, uid: 40_001, gid: 40_002 },
    groups: [40_003, 40_004],
  });
  const pidfd = native.peerPidfd(descriptor(far));
  if (pidfd === null) return;
  const ended = new Promise<void>((resolve) => native.pidfdWatch(pidfd, resolve));
  native.pidfdSendSignal(pidfd, 9);
  await ended;
  expect(peer.signalCode ?? (await new Promise((resolve) => peer.once('exit', (_, by) => resolve(by))))).toBe(
    'SIGKILL',
  );
  native.closeFd(pidfd);
});

const NOTIFIED = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace('@', chr(0)))
print('bound', flush=True)
print(s.recv(4096).decode(), end='', flush=True)
`;

test.each(['path', 'abstract name'])(
  'systemd is told by a datagram to its %s, and one nobody takes is an error',
  async (kind) => {
    const directory = mkdtempSync(join(tmpdir(), 'acyclic-notify-'));
    undo.push(() => rmSync(directory, { recursive: true }));
    const address = kind === 'path' ? join(directory, 'notify') : `@acyclic-notify-${process.pid}`;
    const reader = spawn('python3', ['-c', NOTIFIED, address], { stdio: ['ignore', 'pipe', 'inherit'] });
    undo.push(() => reader.kill('SIGKILL'));
    const said: string[] = [];
    reader.stdout.on('data', (data) => said.push(`${data}`));
    await new Promise((resolve) => reader.stdout.once('data', resolve));
    native.tellSystemd(address, 'READY=1\nSTATUS=guarding');
    await new Promise((resolve) => reader.once('close', resolve));
    expect(said.join('')).toBe('bound\nREADY=1\nSTATUS=guarding');
    expect(thrownBy(() => native.tellSystemd(address, 'x')).code).toBe('ECONNREFUSED');
    expect(thrownBy(() => native.tellSystemd(join(directory, 'none'), 'x')).code).toBe('ENOENT');
    expect(thrownBy(() => native.tellSystemd('relative', 'x')).code).toBe('EINVAL');
  },
);

test.each(['127.0.0.1', '::1'])('a connection on %s is destroyed, and its owner told', async (host) => {
  const { near } = await pair({ host, port: 0 });
  const error = new Promise<NodeJS.ErrnoException>((resolve) => near.once('error', resolve));
  expect(native.socketDestroy(key(near))).toBe(true);
  expect((await error).code).toBe('ECONNABORTED');
  expect(native.socketDestroy(key(near))).toBe(false);
});

test('a socket of another cookie is left alone', async () => {
  const { near } = await pair({ host: '127.0.0.1', port: 0 });
  expect(native.socketDestroy(key(near, 1n))).toBe(false);
  expect(near.destroyed).toBe(false);
});

test('a listener is never taken for a connection that is gone', async () => {
  const { near, server } = await pair({ host: '127.0.0.1', port: 0 });
  const listening = { ...key(near), sourcePort: near.remotePort ?? 0, destinationPort: 1 };
  expect(native.socketDestroy(listening)).toBe(false);
  const again = connect((server.address() as { port: number }).port, '127.0.0.1');
  undo.push(() => again.destroy());
  await new Promise((resolve) => again.once('connect', resolve));
});

test('the cookie is that of this network namespace', () => {
  expect(native.netnsCookie()).toBeGreaterThan(0n);
  expect(native.netnsCookie()).toBe(native.netnsCookie());
  expect(readlinkSync('/proc/self/ns/net')).toMatch(/^net:/);
});

test('clocks run forward, and agree with Node', () => {
  const before = native.clocks();
  expect(Math.abs(Number(before.realtime / 1_000_000n) - Date.now())).toBeLessThan(1000);
  const after = native.clocks();
  expect(after.monotonic).toBeGreaterThanOrEqual(before.monotonic);
  expect(after.boottime).toBeGreaterThanOrEqual(after.monotonic);
});

test('a lock is held against others, and shared with none that want it alone', () => {
  const path = '/proc/self/exe';
  const [first, second] = [openSync(path, 'r'), openSync(path, 'r')];
  expect(native.fileLock(first, false)).toBe(true);
  expect(native.fileLock(second, false)).toBe(true);
  expect(native.fileLock(second, true)).toBe(false);
  native.closeFd(first);
  expect(native.fileLock(second, true, true)).toBe(true);
  native.closeFd(second);
  expect(thrownBy(() => native.fileLock(999_999, true)).code).toBe('EBADF');
});

test('the host tells what it is', () => {
  expect(native.libbpfVersion()).toMatch(/^v\d+\.\d+/);
  expect(native.kernelBtf()).toBe(statSync('/sys/kernel/btf/vmlinux').isFile());
  expect(native.capabilities() & (1n << 21n)).not.toBe(0n);
  expect(thrownBy(() => native.mountFs('proc', '/nonexistent', 'proc' as 'bpf')).code).toBe('EINVAL');
  expect(thrownBy(() => native.mountFs('bpf', '/nonexistent', 'bpf')).code).toBe('ENOENT');
});
