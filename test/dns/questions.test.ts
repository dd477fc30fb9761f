import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ground, type Guarded, openGround } from './ground.ts';

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github:
    hosts: [github.com, "*.github.com"]
    addresses: [192.0.2.0/24, "2001:db8:9::/48"]
    depends_on: [mysql]
deployments:
  mysql:
    allow:
      - { host: mirror.internal }
      - { host: "*.mirror.internal" }
      - { host: db.internal, ports: [3306/tcp] }
      - { address: 10.86.0.20, ports: [80/tcp] }
      - { address: "2001:db8:86::20" }
`;
const chain = (length: number): Record<string, readonly string[]> =>
  Object.fromEntries(
    Array.from({ length }, (_, i) => [
      `${i}.of${length}.mirror.internal`,
      [`CNAME ${i + 1}.of${length}.mirror.internal`],
    ]),
  );
const nibbles = (hex: string): string => `${[...hex].reverse().join('.')}.ip6.arpa`;
const ALLOWED_V6 = nibbles('20010db8008600000000000000000020');

const RECORDS = {
  'mirror.internal': [
    'A 10.86.0.20',
    'MX 10 mail.mirror.internal',
    'TXT hello world',
    'NS ns.mirror.internal',
    'SOA ns.mirror.internal admin.mirror.internal 7',
    'CAA 0 issue ca.example',
    'TYPE1234 0a0b0c',
  ],
  'mail.mirror.internal': ['A 10.86.0.21'],
  'ns.mirror.internal': ['A 10.86.0.53'],
  '_https._tcp.mirror.internal': ['SRV 0 0 443 mail.mirror.internal'],
  '_mysql._tcp.db.internal': ['SRV 0 0 3306 db-1.db.internal'],
  'lure.mirror.internal': ['SRV 0 0 443 github.com', 'MX 1 github.com'],
  'xn--bcher-kva.mirror.internal': ['A 10.86.0.22'],
  'big.mirror.internal': Array.from({ length: 80 }, (_, i) => `A 10.86.1.${i}`),
  'web.mirror.internal': ['HTTPS 1 cdn.mirror.internal ipv4hint=10.86.0.30'],
  'trap.mirror.internal': ['HTTPS 1 github.com ipv4hint=10.86.0.30'],
  'alias-mode.mirror.internal': ['HTTPS 0 github.com'],
  'a.loop.mirror.internal': ['CNAME b.loop.mirror.internal'],
  'b.loop.mirror.internal': ['CNAME a.loop.mirror.internal'],
  ...chain(16),
  '16.of16.mirror.internal': ['A 10.86.0.23'],
  ...chain(17),
  '17.of17.mirror.internal': ['A 10.86.0.23'],
  'in.mirror.internal': ['CNAME hidden.mirror.internal'],
  'hidden.mirror.internal': ['CNAME github.com'],
  '20.0.86.10.in-addr.arpa': ['PTR tools.mirror.internal'],
  [ALLOWED_V6]: ['PTR tools.mirror.internal'],
  '7.2.0.192.in-addr.arpa': ['PTR github.com'],
};

let ground: Ground;
beforeAll(async () => {
  ground = await openGround(POLICY, { records: RECORDS });
});
afterAll(() => ground.close());

/** A look with dig, and what it must show. */
type Row = readonly [title: string, args: string, ...expected: RegExp[]];

/** All rows in one guarded run; what dig printed for each. */
async function digAll(rows: readonly Row[]): Promise<{ run: Guarded; printed: readonly string[] }> {
  const MARK = '==== next';
  const script = rows
    .map(([, args]) => `dig +tries=1 +time=4 +nocookie ${args}; echo; echo "${MARK}"`)
    .join('\n');
  const run = await ground.guarded(['bash', '-c', script]);
  return { run, printed: run.output.split(`${MARK}\n`) };
}

const OK = /status: NOERROR/;
const ALLOWED: readonly Row[] = [
  ['capitals', 'TOOLS.MIRROR.INTERNAL', OK, /^TOOLS\.MIRROR\.INTERNAL\.\s.*\s10\.86\.0\.20$/m],
  ['mixed case comes back as it was sent', 'tOoLs.MiRrOr.InTeRnAl', OK, /^;tOoLs\.MiRrOr\.InTeRnAl\.\s/m],
  ['a trailing dot', 'tools.mirror.internal.', OK, /10\.86\.0\.20/],
  ['an A-label', 'xn--bcher-kva.mirror.internal', OK, /10\.86\.0\.22/],
  ['a name with an umlaut', '+idnin bücher.mirror.internal', OK, /10\.86\.0\.22/],
  ['no EDNS', '+noedns tools.mirror.internal', OK, /10\.86\.0\.20/],
  ['EDNS of 512 bytes, and an answer that is longer', '+bufsize=512 big.mirror.internal', OK, /ANSWER: 80/],
  ['EDNS of 512 bytes, cut short', '+bufsize=512 +ignore big.mirror.internal', /flags: [^;]*tc/, /ANSWER: 0/],
  ['EDNS of 1232 bytes', '+bufsize=1232 +ignore big.mirror.internal', /flags: [^;]*tc/],
  ['EDNS of 4096 bytes', '+bufsize=4096 +ignore +notcp big.mirror.internal', OK, /ANSWER: 80/],
  ['an unknown EDNS option', '+ednsopt=65001:abcd tools.mirror.internal', OK, /10\.86\.0\.20/],
  ['TCP', '+tcp tools.mirror.internal', OK, /10\.86\.0\.20/],
  ['TCP, kept open', '+tcp +keepopen tools.mirror.internal mirror.internal', OK, /10\.86\.0\.20/],
  ['AAAA', 'tools.mirror.internal AAAA', OK, /2001:db8:86::20/],
  ['ANY', '+notcp mirror.internal ANY', OK, /MX\s+10 mail/, /TXT\s+"hello world"/],
  [
    'MX, without the address of the exchange',
    'mirror.internal MX',
    OK,
    /MX\s+10 mail/,
    /^((?!10\.86\.0\.21).)*$/s,
  ],
  ['TXT', 'mirror.internal TXT', OK, /"hello world"/],
  ['CAA', 'mirror.internal CAA', OK, /CAA\s+0 issue "ca\.example"/],
  ['NS', 'mirror.internal NS', OK, /NS\s+ns\.mirror\.internal/],
  ['SOA', 'mirror.internal SOA', OK, /SOA\s+ns\.mirror\.internal\. admin\.mirror\.internal\. 7/],
  ['a type without a name', 'mirror.internal TYPE1234', OK, /TYPE1234\s+\\# 3 0A0B0C/i],
  ['SRV of a name', '_https._tcp.mirror.internal SRV', OK, /SRV\s+0 0 443 mail\.mirror\.internal/],
  ['SRV of a name that is allowed alone', '_mysql._tcp.db.internal SRV', OK, /SRV\s+0 0 3306/],
  ['PTR of an allowed address', '-x 10.86.0.20', OK, /PTR\s+tools\.mirror\.internal/],
  ['PTR of an allowed IPv6 address', '-x 2001:db8:86::20', OK, /PTR\s+tools\.mirror\.internal/],
  ['HTTPS with a hint', 'web.mirror.internal TYPE65', OK, /ANSWER: 1/],
  ['SRV and MX that name a denied host, without its address', 'lure.mirror.internal SRV', OK, /github\.com/],
  ['sixteen aliases', '0.of16.mirror.internal', OK, /10\.86\.0\.23/],
  ['a name that does not exist', 'nowhere.mirror.internal', /status: NXDOMAIN/, /^((?!EDE).)*$/s],
];

describe('an allowed name is answered however it is asked for', () => {
  let printed: readonly string[];
  let run: Guarded;
  beforeAll(async () => {
    ({ printed, run } = await digAll(ALLOWED));
  });

  test.each(ALLOWED.map(([title], i) => [title, i] as const))('%s', (_, i) => {
    const [, , ...expected] = ALLOWED[i] as Row;
    for (const pattern of expected) expect(printed[i]).toMatch(pattern);
    expect(printed[i]).not.toMatch(/192\.0\.2\.|2001:db8:9:/);
  });

  test('none of it is a denial', () => {
    expect(run.denials, run.output).toBe(0);
    expect(run.lookups.length).toBeGreaterThan(20);
  });
});

const NO = [
  /status: NXDOMAIN/,
  /EDE: 15 \(Blocked\): .*denied by acyclic: circular.*mysql → github → mysql/,
] as const;
const NO_DEFAULT = [/status: NXDOMAIN/, /EDE: 15 \(Blocked\): .*denied by acyclic: default/] as const;
const DENIED: readonly Row[] = [
  ['capitals', 'GitHub.COM', ...NO, /^;GitHub\.COM\.\s/m],
  ['a trailing dot', 'github.com.', ...NO],
  ['no EDNS, so no reason', '+noedns github.com', /status: NXDOMAIN/, /ADDITIONAL: 0/],
  ['EDNS of 512 bytes', '+bufsize=512 github.com', ...NO],
  ['EDNS of 4096 bytes, signed', '+dnssec +bufsize=4096 github.com', ...NO, /flags: do/],
  ['TCP', '+tcp github.com', ...NO],
  ['a server on loopback', '@127.0.0.53 github.com', ...NO],
  ['a server of IPv6', '@2001:db8:53::53 github.com', ...NO],
  ['AAAA', 'github.com AAAA', ...NO],
  ['ANY', '+notcp github.com ANY', ...NO],
  ['MX', 'github.com MX', ...NO],
  ['TXT', 'github.com TXT', ...NO],
  ['NS', 'github.com NS', ...NO],
  ['SOA', 'github.com SOA', ...NO],
  ['CAA', 'github.com CAA', ...NO],
  ['HTTPS', 'github.com TYPE65', ...NO],
  ['SVCB', 'github.com TYPE64', ...NO],
  ['a type without a name', 'github.com TYPE1234', ...NO],
  ['SRV of it', '_https._tcp.github.com SRV', ...NO],
  ['a name below it', 'a.b.c.github.com', ...NO],
  ['an alias of an alias of it', 'in.mirror.internal', ...NO],
  ['an HTTPS record that leads to it', 'trap.mirror.internal TYPE65', ...NO],
  ['an HTTPS record in alias mode that leads to it', 'alias-mode.mirror.internal TYPE65', ...NO],
  ['a single label', 'secret', ...NO_DEFAULT],
  ['the root', '. NS', ...NO_DEFAULT],
  ['an A-label no rule names', 'xn--bcher-kva.example', ...NO_DEFAULT],
  ['PTR of a denied address', '-x 192.0.2.7', ...NO_DEFAULT],
  ['PTR of an address no rule names', '-x 203.0.113.9', ...NO_DEFAULT],
  ['PTR of a whole prefix', '86.10.in-addr.arpa PTR', ...NO_DEFAULT],
  ['a loop of aliases', 'a.loop.mirror.internal', /status: SERVFAIL/, /EDE: .*lead back to/],
  ['seventeen aliases', '0.of17.mirror.internal', /status: SERVFAIL/, /EDE: .*more than 16 aliases/],
  ['a label with a dot in it', 'www\\\\.github.com', /status: REFUSED/, /EDE: 21/],
  ['another class', 'CH TXT github.com', /status: REFUSED/],
  ['a transfer of the zone', '+tcp github.com AXFR', /Transfer failed|NOTIMP/],
];

describe('a denied name is denied however it is asked for, and never leaves the host', () => {
  let printed: readonly string[];
  let run: Guarded;
  beforeAll(async () => {
    ({ printed, run } = await digAll(DENIED));
  });

  test.each(DENIED.map(([title], i) => [title, i] as const))('%s', (_, i) => {
    const [, , ...expected] = DENIED[i] as Row;
    for (const pattern of expected) expect(printed[i]).toMatch(pattern);
    expect(printed[i]).not.toMatch(/\sA{1,4}\s+(192\.0\.2\.|2001:db8:9:)/);
  });

  test('the whole chain of an alias is in the event', () => {
    const names = run.lookups.map(({ destination }) => destination.names);
    expect(names).toContainEqual(['in.mirror.internal', 'hidden.mirror.internal', 'github.com']);
    expect(names).toContainEqual(['trap.mirror.internal', 'github.com']);
  });

  test('what arrived at the name server is what a rule allows', () => {
    expect(run.asked.length).toBeGreaterThan(4);
    expect(run.asked.filter((detail) => !/^\S+\.mirror\.internal /i.test(detail))).toEqual([]);
  });
});

const PYTHON = `
import socket, struct, sys
def query(name, id):
    labels = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\\0'
    return struct.pack('!6H', id, 0x100, 1, 0, 0, 0) + labels + struct.pack('!2H', 1, 1)
`;

test('questions sent in one piece over one connection are all answered, each as it was written', async () => {
  const program = `${PYTHON}
names = ['tools.mirror.internal', 'TOOLS.mirror.INTERNAL', 'github.com', 'GITHUB.com', 'mirror.internal'] * 8
queries = {i: query(name, i) for i, name in enumerate(names)}
s = socket.create_connection(('10.86.0.53', 53), 5)
s.sendall(b''.join(struct.pack('!H', len(q)) + q for q in queries.values()))
data = b''
seen = {}
while len(seen) < len(names):
    data += s.recv(65536)
    while len(data) >= 2 and len(data) >= 2 + struct.unpack('!H', data[:2])[0]:
        size = struct.unpack('!H', data[:2])[0]
        message, data = data[2:2 + size], data[2 + size:]
        id, flags = struct.unpack('!2H', message[:4])
        echoed = message[12:].startswith(queries[id][12:])
        seen[id] = (flags & 15, echoed)
print(sorted(set((names[i].lower(), rcode, echoed) for i, (rcode, echoed) in seen.items())))`;
  const { output } = await ground.guarded(['python3', '-c', program], { flags: ['--json'] });
  const lines = output.split('\n').filter((line) => !line.startsWith('{') && line !== '');
  expect(lines).toEqual([
    "[('github.com', 3, True), ('mirror.internal', 0, True), ('tools.mirror.internal', 0, True)]",
  ]);
});

test('the address of an HTTPS hint is open once the name was asked for, and not before', async () => {
  const dial = '(exec 3<>/dev/tcp/10.86.0.30/8080) 2>&- && echo open || echo closed';
  const { output } = await ground.guarded(
    ['bash', '-c', `${dial}; dig web.mirror.internal TYPE65 >&-; ${dial}`],
    {
      flags: ['--json'],
    },
  );
  expect(output.split('\n').filter((line) => /^(open|closed)$/.test(line))).toEqual(['closed', 'open']);
});

test('what is asked for without a rule carries nothing out, whatever it is and however often', async () => {
  const program = `${PYTHON}
import os
s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(5)
answers = set()
for i in range(300):
    data = os.urandom(30).hex()
    name = [data + '.exfiltrate.example', data[:40] + '.' + data[:40] + '.github.com', data, data + '.in-addr.arpa'][i % 4]
    s.sendto(query(name, i)[:-4] + struct.pack('!2H', [1, 28, 16, 15, 33, 65, 255, 10, 12][i % 9], 1), ('10.86.0.53', 53))
    answers.add(s.recv(512)[3] & 15)
print('rcodes', answers)`;
  for (const word of ['nxdomain', 'refuse']) {
    const policy = `${POLICY}    dns: { on_deny: ${word} }\n`;
    const { output, asked, denials } = await ground.guarded(['python3', '-c', program], {
      policy,
      flags: ['--json'],
    });
    expect(output).toContain(`rcodes {${word === 'refuse' ? 5 : 3}}`);
    expect(asked).toEqual([]);
    expect(denials).toBe(300);
  }
});
