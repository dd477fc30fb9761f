import { join } from 'node:path';
import { ulid } from 'ulid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Recorded } from '../../src/guard/recorder.ts';
import type { RunGuard } from '../../src/guard/run-guard.ts';
import { startSession } from '../../src/guard/session.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { compiled } from './harness-cases.ts';

/** Denies whatever it can, and is not enforced. */
const POLICY = {
  written: {
    version: 1,
    services: {
      d: { hosts: ['*.mysql.internal'] },
      github: { hosts: ['github.com'], addresses: ['2001:db8:9::/48'], depends_on: ['d'] },
    },
    deployments: { d: { mode: 'audit', default: 'deny', on_deny: 'ECONNREFUSED' } },
  },
  options: { allow: [], deny: [], default: null },
};

// $1 the cgroup.procs to enter, then the command.
const JOIN = 'echo $$ > "$1" && shift && exec "$@"';

/** Asks by an unconnected and by a connected socket, and tells who answers. argv: the server. */
const ASK = `
import socket, sys
question = bytes.fromhex('123401000001000000000000') + b'\\x06github\\x03com\\0\\0\\x01\\0\\x01'
server = (sys.argv[1], 53)
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
loose = socket.socket(family, socket.SOCK_DGRAM)
loose.settimeout(5)
loose.sendto(question, server)
answer, peer = loose.recvfrom(512)
print(answer.hex(), peer)
bound = socket.socket(family, socket.SOCK_DGRAM)
bound.settimeout(5)
bound.connect(server)
print(bound.getpeername())
bound.send(question)
print(bound.recv(512).hex())
`;

let lab: Lab;
let session: RunGuard;
const events: AuditEvent[] = [];

beforeAll(async () => {
  lab = await startLab({ tls: false });
  const policy = compiled(POLICY, []);
  session = await startSession({
    ...{ id: ulid(), host: 'test', deployment: 'd', policyId: null, staged: null, leftover: 'kill' },
    ...{ policy, policyElsewhere: policy },
    ...{ syscalls: true, onDenied: () => undefined, onUnwatched: () => undefined },
    onEvent: ({ event }: Recorded) => events.push(event),
    onLost: () => undefined,
  });
});

afterAll(async () => {
  const finished = await session?.finish();
  await lab?.stop();
  expect(finished).toMatchObject({ lost: {}, failures: [] });
});

/** Everything a caller sees of its command, outside the run and then inside it. */
async function bothWays(argv: readonly string[]) {
  const joined = ['sh', '-c', JOIN, 'sh', join(session.cgroup.path, 'cgroup.procs'), ...argv];
  const results = [];
  for (const one of [argv, joined]) {
    const before = await lab.world.queries();
    const { code, stdout, stderr } = await lab.client.run(one, { timeoutMs: 15_000 });
    const queries = (await lab.world.queries()).slice(before.length);
    // Which server was asked what, from which address: nobody stands between.
    const asked = queries.map(({ address, port, source, detail }) => {
      return { address, port, from: source.replace(/:\d+$/, ''), detail };
    });
    results.push({ code, stdout, stderr, asked: new Set(asked.map((each) => JSON.stringify(each))) });
  }
  const [outside, inside] = results;
  if (!outside || !inside) throw new Error('it did not run');
  return { outside, inside };
}

test.for<[string, string[]]>([
  ['dig, UDP', ['dig', '+noall', '+answer', 'cdn.example']],
  ['dig, TCP', ['dig', '+noall', '+answer', '+tcp', 'v6.example', 'AAAA']],
  ['dig, a server of its own choice', ['dig', '+noall', '+answer', '@203.0.113.53', 'v4.example']],
  ['dig, IPv6', ['dig', '+noall', '+answer', '@2001:db8:86::53', 'github.com']],
  ['dig, no such name', ['dig', '+short', 'nowhere.example']],
  ['sockets, IPv4', ['python3', '-c', ASK, '10.86.0.53']],
  ['sockets, IPv6', ['python3', '-c', ASK, '2001:db8:86::53']],
  ['sockets, v4-mapped', ['python3', '-c', ASK, '::ffff:10.86.0.53']],
  ['curl, a name on a cycle', ['curl', '-sS4', 'http://github.com/']],
  ['curl, IPv6', ['curl', '-sS6', 'http://github.com/']],
  ['a connection nobody takes', ['curl', '-sS', 'http://192.0.2.99/']],
  ['a datagram', ['bash', '-c', 'exec 3<>/dev/udp/10.86.0.60/7; echo a >&3; head -1 <&3']],
])('%s: the caller sees the same as outside the run', async ([, argv]) => {
  const { outside, inside } = await bothWays(argv);
  expect(inside).toEqual(outside);
});

/** The event of a connection to this address, once the stream was drained. */
async function connection(address: string): Promise<AuditEvent> {
  const found = () => events.find(({ destination: to }) => to?.address === address && to.port === 80);
  await expect.poll(found, { timeout: 5000 }).toBeDefined();
  return found() as AuditEvent;
}

test('verdicts are computed all the same, with the names read from answers in passing', async () => {
  await bothWays(['curl', '-sS4', 'http://github.com/']);
  expect(await connection('192.0.2.7')).toMatchObject({
    kind: 'connect',
    verdict: 'would-deny',
    destination: { address: '192.0.2.7', service: 'github' },
    outcome: { errno: null, result: 'connected' },
    rule: { kind: 'circular' },
    dependency: { path: ['d', 'github', 'd'] },
  });
  const lookup = events.find(
    ({ kind, destination }) => kind === 'dns' && destination?.names[0] === 'github.com',
  );
  expect(lookup).toMatchObject({
    verdict: 'would-deny',
    hook: 'cgroup_skb/ingress',
    rule: { kind: 'circular' },
  });
  expect(events.filter(({ verdict }) => verdict === 'deny')).toEqual([]);
});

test.for<[string, string[]]>([
  ['TCP', ['dig', '+tcp', '+short', 'vault.internal']],
  ['IPv6', ['dig', '@2001:db8:86::53', '+short', 'apt.internal']],
])('names are learned from answers over %s', async ([, argv]) => {
  const { inside } = await bothWays(argv);
  const address = inside.stdout.trim();
  await bothWays(['bash', '-c', `: </dev/tcp/${address}/80`]);
  expect((await connection(address)).destination?.names).toContain(argv.at(-1));
});
