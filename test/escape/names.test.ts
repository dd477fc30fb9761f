import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ground, openGround } from './ground.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

describe('a denied name is denied however it is asked', () => {
  test.each([
    ['in capitals', ['github.com', 'GitHub.COM']],
    ['with a trailing dot', ['github.com.']],
    ['below, at any depth', ['a.b.c.github.com']],
    ['by an alias of it', ['www.github.com']],
    [
      'as other types',
      [
        '-t',
        'AAAA',
        'github.com',
        '-t',
        'HTTPS',
        'github.com',
        '-t',
        'MX',
        'github.com',
        '-t',
        'ANY',
        'github.com',
      ],
    ],
    [
      'without EDNS, with a cookie, with the checks off',
      ['+noedns', 'github.com', '+cookie', 'github.com', '+cd', 'github.com'],
    ],
    ['over TCP, kept open', ['+tcp', '+keepopen', 'github.com', 'github.com']],
  ])('%s', async (_, query) => {
    const { stdout } = await ground.held('dig', '+nostats', ...query);
    const statuses = [...stdout.matchAll(/status: (\w+)/g)].map(([, status]) => status);
    expect(statuses.length).toBeGreaterThan(0);
    expect(new Set(statuses)).toEqual(new Set(['NXDOMAIN']));
    expect(stdout).not.toMatch(/192\.0\.2\.|2001:db8:9:/);
  });

  test.each([
    ['another server, over UDP', '@203.0.113.53'],
    ['another server, over IPv6', '@2001:db8:53::53'],
    ['a server that is not there', '@192.0.2.66'],
    ['a server on loopback', '@127.0.0.53'],
  ])('%s', async (_, server) => {
    for (const transport of ['+notcp', '+tcp']) {
      const { stdout, ms } = await ground.held('dig', '+time=2', '+tries=1', transport, server, 'github.com');
      expect(stdout, transport).toContain('status: NXDOMAIN');
      expect(ms).toBeLessThan(3000);
    }
  });

  test('a server at a v4-mapped address, over UDP and TCP', async () => {
    const program = `
import socket
name = b''.join(bytes([len(l)]) + l for l in b'github.com'.split(b'.')) + b'\\0\\0\\1\\0\\1'
q = bytes.fromhex('1234 0100 0001 0000 0000 0000') + name
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.settimeout(3); u.sendto(q, ('::ffff:203.0.113.53', 53))
answer, server = u.recvfrom(512); print(answer[3] & 15, server[:2])
t = socket.create_connection(('::ffff:203.0.113.53', 53), 3); t.sendall(len(q).to_bytes(2, 'big') + q)
print(t.recv(512)[5] & 15, t.getpeername()[:2])`;
    const { stdout } = await ground.held('python3', '-c', program);
    const server = "('::ffff:203.0.113.53', 53)";
    expect(stdout).toBe(`3 ${server}\n3 ${server}\n`);
  });

  test('two labels spelled as one with a dot in it are no way around', async () => {
    const program = `
import socket
q = bytes.fromhex('1234 0100 0001 0000 0000 0000') + b'\\x0agithub.com\\x00' + bytes.fromhex('0001 0001')
s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(3); s.sendto(q, ('10.86.0.53', 53))
print(s.recv(512)[3] & 15)`;
    const { stdout } = await ground.held('python3', '-c', program);
    expect(stdout).not.toBe('0\n');
  });

  test('two questions in one message are no way around', async () => {
    const program = `
import socket
name = lambda n: b''.join(bytes([len(l)]) + l for l in n.split(b'.')) + b'\\0\\0\\1\\0\\1'
q = bytes.fromhex('1234 0100 0002 0000 0000 0000') + name(b'tools.mirror.internal') + name(b'github.com')
s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(3); s.sendto(q, ('10.86.0.53', 53))
print(s.recv(512)[3] & 15)`;
    const { stdout } = await ground.held('python3', '-c', program);
    expect(stdout).not.toBe('0\n');
  });
});

test('a name that only ends like a denied one is under the ordinary rules', async () => {
  const { stdout, events } = await ground.held(
    'bash',
    '-c',
    'dig +short evilgithub.com; dig +short tools.mirror.internal',
  );
  expect(stdout).toBe('10.86.0.20\n');
  expect(events.find(({ verdict }) => verdict === 'deny')).toMatchObject({
    destination: { names: ['evilgithub.com'] },
    rule: { kind: 'default' },
  });
});

test('an address is open to a run only once it has asked for an allowed name of it', async () => {
  const { stdout, stderr } = await ground.guarded([
    'bash',
    '-c',
    '(exec 3<>/dev/tcp/10.86.0.20/80) || echo closed; getent ahostsv4 tools.mirror.internal > names; (exec 3<>/dev/tcp/10.86.0.20/80) && echo open',
  ]);
  expect(stdout, stderr).toBe('closed\nopen\n');
});

test('what one run has learned opens nothing to another', async () => {
  const first = ground.guarded([
    'bash',
    '-c',
    'getent ahostsv4 tools.mirror.internal; : > learned; while ! [ -e tried ]; do sleep 0.05; done',
  ]);
  const second = await ground.guarded([
    'bash',
    '-c',
    'while ! [ -e learned ]; do sleep 0.05; done; (exec 3<>/dev/tcp/10.86.0.20/80) || echo closed; : > tried',
  ]);
  expect(second.stdout).toBe('closed\n');
  expect((await first).code).toBe(0);
});
