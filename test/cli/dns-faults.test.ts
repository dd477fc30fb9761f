import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DnsServerOptions } from '../lab/dns-server.ts';
import { openPlace, type Place } from './harness.ts';

const RIGHT = '192.0.2.7';
const FORGED = '198.51.100.66';
const FIRST = '127.53.0.1';
/** Its server says nothing. */
const SILENT = '127.53.0.2';
/** Nobody listens there. */
const NOBODY = '127.53.0.3';
const program = fileURLToPath(new URL('../lab/misbehaving.ts', import.meta.url));

let place: Place;
const servers: ChildProcess[] = [];

beforeAll(() => {
  place = openPlace();
});
afterAll(() => {
  for (const server of servers) server.kill();
  place.close();
});

async function startServers(all: readonly DnsServerOptions[]): Promise<void> {
  const options = all.map((one) => ({ ...one, port: 53 }));
  const server = place.start([process.execPath, program, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  servers.push(server);
  await once(server.stdout ?? server, 'data');
}

function policy(addresses: readonly string[]): string {
  return place.file(
    `${addresses.join('-')}.yaml`,
    `version: 1
deployments:
  mysql:
    default: deny
    dns: { servers: [${addresses.join(', ')}] }
    allow: [{ host: "*.test" }]
`,
  );
}

interface Dug {
  readonly status: string;
  readonly text: string;
  /** Milliseconds, by dig. */
  readonly took: number;
}

function dug(file: string): Dug {
  const text = readFileSync(join(place.directory, file), 'utf8');
  return {
    status: /status: (\w+)/.exec(text)?.[1] ?? 'none',
    text,
    took: Number(/Query time: (\d+)/.exec(text)?.[1]),
  };
}

/** A command line that digs once into a file; never a second try of its own. */
const DIG = 'dig +tries=1 +time=7';

/** How a name is served, and what a run hears of it. */
const CASES: readonly [fault: string, status: string, text: RegExp][] = [
  ['silent', 'SERVFAIL', /EDE: 22.*did not answer/],
  ['slow:2000', 'NOERROR', new RegExp(RIGHT)],
  ['slow:6000', 'SERVFAIL', /EDE: 22.*did not answer/],
  ['wrong-id', 'SERVFAIL', /EDE: 22.*did not answer/],
  ['wrong-question', 'SERVFAIL', /EDE: 22.*did not answer/],
  ['other-address', 'SERVFAIL', /EDE: 22.*did not answer/],
  ['other-port', 'SERVFAIL', /EDE: 22.*did not answer/],
  ['spoofed-then-right', 'NOERROR', new RegExp(RIGHT)],
  ['other-case', 'NOERROR', new RegExp(RIGHT)],
  ['truncated', 'NOERROR', new RegExp(RIGHT)],
  ['truncated-always', 'SERVFAIL', /EDE: 22.*cut its answer short over TCP/],
  ['no-tcp', 'SERVFAIL', /EDE: 23.*closed the connection|EDE: 23.*cannot be reached/],
  ['garbage', 'SERVFAIL', /EDE: 22.*did not answer/],
  ['short', 'SERVFAIL', /EDE: 22.*bad answer/],
  ['echo', 'SERVFAIL', /EDE: 22.*did not answer/],
  ['servfail', 'SERVFAIL', /EDE: 22.*answered SERVFAIL/],
  ['servfail:signature expired', 'SERVFAIL', /EDE: 6.*signature expired/],
  ['refused', 'SERVFAIL', /EDE: 22.*answered REFUSED/],
  ['notimp', 'SERVFAIL', /EDE: 22.*answered NOTIMP/],
  ['lame', 'SERVFAIL', /EDE: 22.*lame/],
];

/** One that floods shares a port with others, and makes them doubtful too: it has its turn alone. */
const FLOOD = 'flood:100';

const nameOf = (fault: string) => `${fault.replace(/[^a-z0-9]/g, '-')}.test`;
const zone = Object.fromEntries(
  ['ok.test', '*.ok.test', '*.slow.test', ...[FLOOD, ...CASES.map(([fault]) => fault)].map(nameOf)].map(
    (name) => [name, [`A ${RIGHT}`]],
  ),
);

beforeAll(async () => {
  const faults = Object.fromEntries(
    [FLOOD, ...CASES.map(([fault]) => fault)].map((fault) => [nameOf(fault), fault]),
  );
  await startServers([
    { address: FIRST, zone, faults: { ...faults, ...slowNames(600) } },
    { address: SILENT, zone, faults: { '*': 'silent' } },
  ]);
});

describe('a run and a server that misbehaves', () => {
  let took = 0;
  let status: number | null = null;

  beforeAll(() => {
    const asked = CASES.flatMap(([fault]) => {
      const name = nameOf(fault).replace('other-case', 'oTher-CasE');
      return [`${DIG} ${name} > udp-${nameOf(fault)} &`, `${DIG} +tcp ${name} > tcp-${nameOf(fault)} &`];
    });
    const alone = [`${DIG} ${nameOf(FLOOD)} > flood`, `${DIG} ok.test > after`];
    const script = place.file('faults.sh', [...asked, 'wait', ...alone, ''].join('\n'));
    const result = place.run(['run', '--quiet', '-p', policy([FIRST]), '--', 'sh', script]);
    ({ took, status } = result);
    expect(result.stderr).toBe('');
  });

  test.each(CASES)('over UDP, %s: %s, within five seconds', (fault, wanted, text) => {
    const answer = dug(`udp-${nameOf(fault)}`);
    expect(answer).toMatchObject({ status: wanted, text: expect.stringMatching(text) });
    expect(answer.text).not.toContain(FORGED);
    expect(answer.took).toBeLessThan(5000);
  });

  test.each(CASES)('over TCP, %s: an answer within five seconds', (fault, wanted) => {
    const answer = dug(`tcp-${nameOf(fault)}`);
    const rightOverTcp = ['other-address', 'other-port', 'other-case'];
    const either =
      fault === 'no-tcp' || rightOverTcp.includes(fault) ? /NOERROR|SERVFAIL/ : new RegExp(wanted);
    expect(answer.status).toMatch(rightOverTcp.includes(fault) ? 'NOERROR' : either);
    expect(answer.text).not.toContain(FORGED);
    expect(answer.took).toBeLessThan(5000);
  });

  test('a port drowned in wrong answers is given up, and the question asked over TCP', () => {
    const answer = dug('flood');
    expect(answer).toMatchObject({ status: 'NOERROR', text: expect.stringContaining(RIGHT) });
    expect(answer.took).toBeLessThan(500);
  });

  test('the next lookup works at once, and the run ends well', () => {
    expect(dug('after')).toMatchObject({ status: 'NOERROR', text: expect.stringContaining(RIGHT) });
    expect(dug('after').took).toBeLessThan(200);
    expect(status).toBe(0);
    expect(took).toBeLessThan(8000);
  });
});

test('a server that is dead: SERVFAIL at once, with the reason, over UDP and TCP', () => {
  const script = place.file('dead.sh', `${DIG} ok.test > dead-udp\n${DIG} +tcp ok.test > dead-tcp\n`);
  expect(place.run(['run', '--quiet', '-p', policy([NOBODY]), '--', 'sh', script]).stderr).toBe('');
  for (const file of ['dead-udp', 'dead-tcp']) {
    expect(dug(file)).toMatchObject({
      status: 'SERVFAIL',
      text: expect.stringMatching(/EDE: 23.*ECONNREFUSED/),
    });
    expect(dug(file).took).toBeLessThan(300);
  }
});

test.each([
  ['dead', NOBODY, 300],
  ['silent', SILENT, 1700],
])('with the first server %s the second answers, and only the first lookup waits', (_, first, longest) => {
  const lines = Array.from({ length: 8 }, (_unused, i) => `${DIG} ${i}.ok.test > of-two-${i}`);
  const script = place.file('two.sh', `${lines.join('\n')}\n`);
  expect(place.run(['run', '--quiet', '-p', policy([first, FIRST]), '--', 'sh', script]).stderr).toBe('');
  const all = lines.map((_unused, i) => dug(`of-two-${i}`));
  for (const one of all)
    expect(one).toMatchObject({ status: 'NOERROR', text: expect.stringContaining(RIGHT) });
  expect(all[0]?.took).toBeLessThan(longest);
  for (const one of all.slice(1)) expect(one.took).toBeLessThan(300);
});

test('a burst past the quota: every question is answered, the surplus with SERVFAIL, its reason and a count', () => {
  const script = place.file('burst.py', BURST);
  const args = ['run', '--quiet', '--report', 'burst.jsonl', '-p', policy([FIRST]), '--', 'python3', script];
  const { stdout, stderr } = place.run(args);
  expect(stderr).toBe('');
  const { answered, failed, explained, after } = JSON.parse(stdout);
  expect({ answered, failed, explained }).toEqual({ answered: 600, failed: 344, explained: 344 });
  expect(after).toBeLessThan(0.3);
  const summary = place.report('burst.jsonl').at(-1);
  expect(summary).toMatchObject({ kind: 'summary', lost: { 'DNS lookups over the limit': 344 } });
});

function slowNames(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}.slow.test`, 'slow:1000']));
}

/** Asks 600 slow names at once from one socket, then a quick one. */
const BURST = `
import json, socket, struct, time

def query(number, name):
    labels = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.'))
    opt = b'\\0' + struct.pack('>HHIH', 41, 1232, 0, 0)
    return struct.pack('>HHHHHH', number, 0x0100, 1, 0, 0, 1) + labels + b'\\0' + struct.pack('>HH', 1, 1) + opt

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.connect(('10.0.0.53', 53))
s.settimeout(6)
for i in range(600):
    s.send(query(i, 'n%d.slow.test' % i))
answered, failed, explained = set(), 0, 0
while len(answered) < 600:
    answer = s.recv(4096)
    answered.add(answer[:2])
    failed += answer[3] & 15 == 2
    explained += b'too many lookups under way' in answer
began = time.monotonic()
s.send(query(9999, 'ok.test'))
assert s.recv(4096)[3] & 15 == 0
print(json.dumps(dict(answered=len(answered), failed=failed, explained=explained, after=time.monotonic() - began)))
`;
