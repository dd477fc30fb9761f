import { constants } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KINDS } from '../kernel/harness-dial.ts';
import { ALLOWED, compileDial, DENIED, type Ground, NOTHING, openGround } from './ground.ts';

let ground: Ground;
let dial: string;
beforeAll(async () => {
  ground = await openGround();
  dial = compileDial(ground.lab.dir);
});
afterAll(() => ground.stop());

const EOPNOTSUPP = String(constants.errno.EOPNOTSUPP);
const EPERM = '1';
/** Dropped at egress, of which this send is told nothing (net/ipv6/ping.c); the others are. */
const SILENT = ['ping6'];
const PORT = 7;

/** Input of the dialler: every kind of call this kernel has, each to the address of its family. */
function every([ipv4, ipv6]: readonly [string, string]): string {
  const lines = Object.entries(KINDS).map(
    ([kind, { family }]) => `${kind} ${family === 4 ? ipv4 : ipv6} ${PORT}\n`,
  );
  return `${lines.join('')}\n`;
}

/** By kind, the errno of its first step that failed; 0 for none; null for what the kernel does not have. */
function answers(stdout: string): Record<string, string | null> {
  const [first = '', ...rest] = stdout.split('\n');
  const absent = first.split(' ').slice(1);
  return Object.fromEntries(
    Object.keys(KINDS).map((kind, i) => [kind, absent.includes(kind) ? null : (rest[i] ?? '')]),
  );
}

test('no kind of call reaches a denied address: each fails with EPERM, and no packet leaves', async () => {
  let seen: Awaited<ReturnType<Ground['guarded']>> | undefined;
  const leak = await ground.leaked(async () => {
    seen = await ground.guarded([dial], { input: every(DENIED) });
  });
  const given = Object.entries(answers(seen?.stdout ?? '')).filter(([, errno]) => errno !== null);
  expect(given.length).toBeGreaterThan(20);
  expect(given.filter(([kind, errno]) => errno !== EPERM && !SILENT.includes(kind))).toEqual([]);
  expect(leak).toEqual(NOTHING);
  expect(seen?.summary).toMatchObject({ lost: {}, cycles: [['mysql', 'github', 'mysql']] });
  expect(seen?.summary.denials).toBeGreaterThanOrEqual(given.length);
});

test('the same calls, allowed, do leave, so nothing above was denied by chance', async () => {
  const bare = await ground.lab.client.run([dial], { input: every(ALLOWED) });
  let seen: Awaited<ReturnType<Ground['guarded']>> | undefined;
  const leak = await ground.leaked(async () => {
    seen = await ground.guarded([dial], { input: every(ALLOWED) });
  });
  // Ways on which first bytes would pass unjudged are refused, so that their users go on with plain TCP.
  const refused = (kind: string) => (kind.startsWith('mptcp') ? null : EOPNOTSUPP);
  const plain = Object.entries(answers(bare.stdout)).map(([kind, errno]) =>
    errno !== null && /^(mptcp|fastopen)/.test(kind) ? [kind, refused(kind)] : [kind, errno],
  );
  expect(answers(seen?.stdout ?? '')).toEqual(Object.fromEntries(plain));
  expect(Object.values(answers(bare.stdout)).filter((errno) => errno === '0').length).toBeGreaterThan(20);
  expect(leak.packets).toBeGreaterThan(20);
  expect(seen?.summary.denials).toBe(0);
});

const STEPS = `
import errno, socket, struct
def tell(step, act):
    try: act(); print(step, 'went')
    except OSError as e: print(step, errno.errorcode[e.errno])
def udp(family=socket.AF_INET): return socket.socket(family, socket.SOCK_DGRAM)
`;

test.each([
  [
    'a UDP socket connected to what is allowed, sending elsewhere',
    `s = udp(); s.connect(('${ALLOWED[0]}', 7)); s.send(b'x')
tell('sendto', lambda: s.sendto(b'x', ('${DENIED[0]}', 7)))
tell('sendmsg', lambda: s.sendmsg([b'x'], [], 0, ('${DENIED[0]}', 7)))
tell('connect', lambda: s.connect(('${DENIED[0]}', 7)))`,
    'sendto EPERM\nsendmsg EPERM\nconnect EPERM\n',
  ],
  [
    'a UDP socket that sent to what is allowed, then elsewhere, many times',
    `s = udp()
for i in range(100): s.sendto(b'x', ('${ALLOWED[0]}', 7))
for i in range(3): tell('sendto', lambda: s.sendto(b'x', ('${DENIED[0]}', 7)))`,
    'sendto EPERM\n'.repeat(3),
  ],
  [
    'a v4-mapped destination, as Java has it',
    `s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); u = udp(socket.AF_INET6)
tell('tcp', lambda: s.connect(('::ffff:${DENIED[0]}', 80)))
tell('udp', lambda: u.sendto(b'x', ('::ffff:${DENIED[0]}', 7)))
t = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
tell('allowed', lambda: t.connect(('::ffff:${ALLOWED[0]}', 7)))`,
    'tcp EPERM\nudp EPERM\nallowed went\n',
  ],
  [
    'a non-blocking connect is told at once, not later',
    `s = socket.socket(); s.setblocking(False)
print(errno.errorcode[s.connect_ex(('${DENIED[0]}', 80))])`,
    'EPERM\n',
  ],
  [
    'a socket that is bound, or marked, or tied to a device',
    `for prepare in (lambda s: s.bind(('0.0.0.0', 0)), lambda s: s.setsockopt(socket.SOL_SOCKET, 36, 7),
                lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')):
    s = socket.socket(); prepare(s)
    tell('connect', lambda: s.connect(('${DENIED[0]}', 80)))`,
    'connect EPERM\n'.repeat(3),
  ],
  [
    'a TCP socket that was connected, dissolved and connected again',
    `s = socket.socket(); s.connect(('${ALLOWED[0]}', 7))
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.connect(s.fileno(), struct.pack('H14x', 0), 16) == 0
tell('connect', lambda: s.connect(('${DENIED[0]}', 80)))`,
    'connect EPERM\n',
  ],
  [
    'multicast and broadcast',
    `s = udp(); s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
tell('multicast', lambda: s.sendto(b'x', ('224.0.0.251', 5353)))
tell('broadcast', lambda: s.sendto(b'x', ('255.255.255.255', 67)))
tell('multicast6', lambda: udp(socket.AF_INET6).sendto(b'x', ('ff02::fb', 5353, 0, socket.if_nametoindex('eth0'))))`,
    'multicast EPERM\nbroadcast EPERM\nmulticast6 EPERM\n',
  ],
])('%s', async (_, steps, expected) => {
  let seen: Awaited<ReturnType<Ground['guarded']>> | undefined;
  const leak = await ground.leaked(async () => {
    seen = await ground.guarded(['python3', '-c', STEPS + steps]);
  });
  expect(seen?.stdout, seen?.stderr).toBe(expected);
  expect(leak.records).toEqual([]);
});
