import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Lab, startLab } from '../lab/lab.ts';
import { VAULT_PORT } from '../lab/services.ts';
import { clientHello } from '../vectors/openings.ts';
import { acyclic, remains } from './harness.ts';

/** One address of two names, as a content network has: shop is allowed, news is not. */
const SHARED = ['203.0.113.80', '2001:db8:80::80'];
const SERVICES = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], depends_on: [mysql] }
  mirror: { hosts: ["*.mirror.internal"] }
  egress-proxy: { hosts: [proxy.internal], ports: [3128/tcp], proxy: true }
  chatter: { hosts: [odd.example], ports: [8200/tcp], sniff: true }
`;
const OPEN = `${SERVICES}deployments: { mysql: { default: allow } }\n`;
const CLOSED = `${SERVICES}deployments:
  mysql:
    allow: [{ service: mirror }, { service: egress-proxy }, { host: shop.example }, { host: cdn-a.example }]
`;
/** Names of one address that disagree, as /etc/hosts has them. */
const HOSTS = [
  `${SHARED[0]} both-good.example both-bad.example`,
  '10.86.0.40 odd.example odd-bad.example',
  '10.86.0.60 echo-good.example echo-bad.example',
  '127.0.0.1 proxy.internal',
];
const DISAGREE = `${SERVICES}deployments:
  mysql:
    default: allow
    deny: [{ host: both-bad.example }, { host: odd-bad.example }, { host: echo-bad.example }]
`;

/** A forward proxy: CONNECT and absolute-form, with what it was asked for on standard output. */
const PROXY = `
import socket, threading, sys
def pump(a, b):
    try:
        while d := a.recv(65536): b.sendall(d)
    except OSError: pass
    try: b.shutdown(1)
    except OSError: pass
def serve(c):
    head = b''
    while b'\\r\\n\\r\\n' not in head:
        d = c.recv(65536)
        if not d: return
        head += d
    line = head.split(b'\\r\\n')[0].decode(); print(line, flush=True)
    method, target, _ = line.split(' ')
    host = target if method == 'CONNECT' else target.split('/')[2]
    name, _, port = host.partition(':')
    s = socket.create_connection((name, int(port or 80)))
    if method == 'CONNECT': c.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n')
    else: s.sendall(head)
    threading.Thread(target=pump, args=(c, s)).start(); pump(s, c)
l = socket.create_server(('127.0.0.1', 3128)); print('ready', flush=True)
while True: threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
`;

let lab: Lab;
let policies: Record<'open' | 'closed' | 'disagree', string>;
let asked = '';
let stopProxy: () => Promise<void>;
beforeAll(async () => {
  lab = await startLab({
    hosts: { 'shop.example': SHARED, 'news.example': SHARED, 'cdn-a.example': ['shop.example'] },
    etcHosts: HOSTS,
  });
  const write = async (name: string, text: string) => {
    const file = path.join(lab.dir, name);
    await writeFile(file, text);
    return file;
  };
  policies = {
    open: await write('open.yaml', OPEN),
    closed: await write('closed.yaml', CLOSED),
    disagree: await write('disagree.yaml', DISAGREE),
  };
  const proxy = lab.client.spawn(['python3', '-c', PROXY]);
  proxy.stdout?.on('data', (chunk: Buffer) => {
    asked += chunk;
  });
  while (!asked.includes('ready')) await once(proxy.stdout as NodeJS.ReadableStream, 'data');
  stopProxy = async () => {
    const closed = once(proxy, 'close');
    proxy.kill('SIGKILL');
    await closed;
  };
});
afterAll(async () => {
  await stopProxy();
  await lab.stop();
  expect(remains()).toEqual([]);
});

async function guarded(policy: keyof typeof policies, argv: readonly string[], ...options: string[]) {
  const report = path.join(lab.dir, 'report.jsonl');
  const command = [acyclic, 'run', '--quiet', '-p', policies[policy], '--report', report, ...options];
  const result = await lab.client.run([...command, '--', ...argv], { timeoutMs: 30_000 });
  const lines = readFileSync(report, 'utf8').trimEnd().split('\n');
  const events = lines.map((line) => JSON.parse(line));
  return { ...result, events, summary: events.pop() };
}

const curl = (...args: string[]) => ['curl', '-sS', '-k', '-m', '8', ...args];
/** Whatever a server was asked for: requests with their Host, and proxied ones. */
async function requests(): Promise<string> {
  return (await lab.world.requests()).map(({ detail }) => detail).join('\n');
}

/** Sends bytes to an address and port, and says what became of it. */
const SEND = `
import socket, sys, errno
address, port, *pieces = sys.argv[1:]
try:
    s = socket.create_connection((address, int(port)), 5)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for p in pieces: s.sendall(bytes.fromhex(p))
    s.settimeout(5); print('answer', len(s.recv(4096)))
except OSError as e: print(errno.errorcode.get(e.errno, str(e)))
`;
const send = (address: string, port: number, ...pieces: (string | Buffer)[]) => [
  ...['python3', '-c', SEND, address, String(port)],
  ...pieces.map((piece) => Buffer.from(piece).toString('hex')),
];
const GITHUB = '192.0.2.7';
const request = (host: string) => `GET /first-bytes HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

describe('a denied name reached by its bare address, with everything else allowed', () => {
  test.each([
    ['TLS', curl('--resolve', `github.com:443:${GITHUB}`, 'https://github.com/first-bytes')],
    ['TLS over IPv6', curl('--resolve', 'github.com:443:[2001:db8:9::7]', 'https://github.com/first-bytes')],
    [
      'TLS on another port',
      curl(
        '--resolve',
        `github.com:${VAULT_PORT}:10.86.0.40`,
        `https://github.com:${VAULT_PORT}/first-bytes`,
      ),
    ],
    ['HTTP', curl('-H', 'Host: GitHub.com.', `http://${GITHUB}/first-bytes`)],
    [
      'HTTP with an absolute target',
      curl(
        '-H',
        'Host: github.com',
        '--request-target',
        'http://github.com/first-bytes',
        `http://${GITHUB}/`,
      ),
    ],
    [
      'Node',
      [
        process.execPath,
        '-e',
        `require('https').get({host:'${GITHUB}',servername:'github.com',rejectUnauthorized:false,path:'/first-bytes'},()=>{}).on('error',(e)=>{console.log(e.code);process.exit(1)})`,
      ],
    ],
    [
      'a v4-mapped socket',
      [
        'python3',
        '-c',
        `import socket; s=socket.create_connection(('::ffff:${GITHUB}', 80)); s.sendall(b'''${request('github.com')}''')`,
      ],
    ],
  ])('%s', async (_, argv) => {
    const { code, stderr, events, summary } = await guarded('open', argv);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/acyclic: denied \S+ → github\.com:\d+\/tcp \(/);
    expect(stderr).toMatch(/cycle {4}mysql → github → mysql/);
    expect(stderr).toContain('saw      send() = EACCES');
    expect(events.filter(({ verdict }) => verdict === 'deny')).toMatchObject([
      { kind: 'connect', hook: 'sk_msg', outcome: { errno: 'EACCES' }, rule: { kind: 'circular' } },
    ]);
    expect(summary).toMatchObject({ denials: 1, lost: {} });
    expect(await requests()).not.toContain('github.com/first-bytes');
  });

  test.each([
    ['in three pieces', 3],
    ['a byte at a time', 1000],
  ])('a ClientHello with post-quantum key shares, %s', async (_, pieces) => {
    const hello = Buffer.concat([clientHello('github.com', { padding: 1400 })]);
    const size = Math.ceil(hello.length / pieces);
    const parts = Array.from({ length: pieces }, (_unused, i) => hello.subarray(i * size, (i + 1) * size));
    const before = (await lab.world.received()).tcp;
    const { stdout } = await guarded('open', send(GITHUB, 443, ...parts.filter((part) => part.length > 0)));
    expect(stdout).toBe('EACCES\n');
    // The handshake and the end of a connection: nothing that was said on it.
    expect((await lab.world.received()).tcp - before).toBeLessThan(6);
  });

  test('sendfile, splice, writev and MSG_OOB pass by no other way', async () => {
    const program = `
import os, socket, errno, tempfile
head = b'''${request('github.com')}'''
f = tempfile.TemporaryFile(); f.write(head); f.flush()
def pipe():
    r, w = os.pipe(); os.write(w, head); return r
ways = {'sendfile': lambda s: os.sendfile(s.fileno(), f.fileno(), 0, len(head)),
  'splice': lambda s: os.splice(pipe(), s.fileno(), len(head)),
  'writev': lambda s: os.writev(s.fileno(), [head[:9], head[9:30], head[30:]]),
  'oob': lambda s: s.send(head, socket.MSG_OOB), 'more': lambda s: (s.send(head[:20], socket.MSG_MORE), s.send(head[20:]))}
for name, way in ways.items():
    s = socket.create_connection(('${GITHUB}', 80))
    try: way(s); print(name, 'went')
    except OSError as e: print(name, errno.errorcode[e.errno])`;
    const { stdout } = await guarded('open', ['python3', '-c', program]);
    expect(stdout).toBe(
      ['sendfile', 'splice', 'writev', 'oob', 'more'].map((way) => `${way} EACCES\n`).join(''),
    );
    expect(await requests()).not.toContain('github.com/first-bytes');
  });

  test('a send begun before the connection was there is held back, and its socket ends', async () => {
    const program = `
import socket, errno, threading
s = socket.socket(); s.setblocking(False)
try: s.connect(('${GITHUB}', 80))
except BlockingIOError: pass
s.settimeout(5)
try: s.sendall(b'''${request('github.com')}'''); print(len(s.recv(100)))
except OSError as e: print(errno.errorcode.get(e.errno, e))`;
    const { stdout } = await guarded('open', ['python3', '-c', program]);
    expect(['EACCES\n', 'ECONNABORTED\n', 'EPIPE\n']).toContain(stdout);
    expect(await requests()).not.toContain('github.com/first-bytes');
  });

  test.each([
    ['another name', request('tools.mirror.internal')],
    ['no name', 'GET / HTTP/1.0\r\n\r\n'],
    ['lines that end in LF, as scripts write them', 'GET / HTTP/1.0\nHost: x.example\n\n'],
    ['nothing, in lines that end in LF', 'GET / HTTP/1.0\n\n'],
  ])('what names %s is let through', async (_, bytes) => {
    const { stdout, summary } = await guarded('open', send('10.86.0.20', 80, bytes));
    expect(stdout).toMatch(/^answer [1-9]/);
    expect(summary).toMatchObject({ calls: 1, denials: 0, lost: {} });
  });

  test('a server that speaks first, and a client that only listens, go on', async () => {
    const program = `import socket; s = socket.create_connection(('10.86.0.60', 22)); print(s.recv(100)); s.sendall(b'SSH-2.0-x\\r\\n'); print(s.recv(100))`;
    const { stdout, summary } = await guarded('open', ['python3', '-c', program]);
    expect(stdout).toBe("b'SSH-2.0-lab\\r\\n'\nb'SSH-2.0-x\\r\\n'\n");
    expect(summary).toMatchObject({ denials: 0 });
  });

  test('a request with two Hosts, or one nobody could read alike, is denied and marked', async () => {
    const two = 'GET / HTTP/1.1\r\nHost: a.example\r\nHost: github.com\r\n\r\n';
    const { stdout, stderr, events } = await guarded('open', send(GITHUB, 80, two));
    expect(stdout).toBe('EACCES\n');
    expect(stderr).toContain('its first bytes cannot be read for certain');
    expect(events.filter(({ verdict }) => verdict === 'deny')).toMatchObject([{ ambiguous: true }]);
  });

  test('in audit mode the name is recorded, and nothing is changed', async () => {
    const argv = curl('--resolve', `github.com:443:${GITHUB}`, 'https://github.com/audited');
    const { code, events, summary } = await guarded('open', argv, '--audit');
    expect(code).toBe(0);
    expect(events).toMatchObject([
      {
        kind: 'connect',
        verdict: 'would-deny',
        destination: { names: ['github.com'], address: GITHUB },
        rule: { kind: 'circular' },
      },
    ]);
    expect(summary).toMatchObject({ calls: 1, denials: 0, would_deny: 1 });
    expect(await requests()).toContain('GET https://github.com/audited');
  });
});

describe('an address of two names, one of them allowed', () => {
  test.each([
    ['HTTPS', 'https://shop.example/shared'],
    ['HTTP', 'http://shop.example/shared'],
    ['HTTPS, by an alias', 'https://cdn-a.example/shared'],
  ])('the allowed name works: %s', async (_, url) => {
    const { code, stderr, summary } = await guarded('closed', curl(url));
    expect(code, stderr).toBe(0);
    expect(summary).toMatchObject({ denials: 0, lost: {} });
  });

  test.each([
    ['TLS', `curl -sSk -m 8 --resolve news.example:443:${SHARED[0]} https://news.example/shared`],
    ['HTTP', `curl -sS -m 8 --resolve news.example:80:${SHARED[0]} http://news.example/shared`],
  ])('the other is denied though its address was learned: %s', async (_, other) => {
    const script = `curl -sSk -m 8 https://shop.example/shared > first; ${other}`;
    const { code, stderr } = await guarded('closed', ['bash', '-c', script]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/acyclic: denied curl\[\d+\] → news\.example:(80|443)\/tcp \(203\.0\.113\.80\)/);
    expect(await requests()).not.toMatch(/news\.example\/shared/);
  });
});

describe('names of one address that disagree', () => {
  const at = (name: string, port = 443) => ['--resolve', `${name}:${port}:${SHARED[0]}`];
  test('on the ports of the web the first bytes decide', async () => {
    const good = await guarded('disagree', curl(...at('both-good.example'), 'https://both-good.example/d'));
    expect(good.code, good.stderr).toBe(0);
    const bad = await guarded('disagree', curl(...at('both-bad.example'), 'https://both-bad.example/d'));
    expect(bad.stderr).toMatch(/denied curl\[\d+\] → both-bad\.example:443/);
    expect(bad.stderr).toContain('saw      send() = EACCES');
  });

  test.each([
    ['no SNI', clientHello(null)],
    ['an encrypted hello', clientHello('both-good.example', { ech: true })],
    ['nothing that names', Buffer.from('hello there\r\n')],
  ])('what says %s there is denied and marked', async (_, bytes) => {
    const { stdout, events } = await guarded('disagree', send(SHARED[0] ?? '', 443, bytes));
    expect(stdout).toBe('EACCES\n');
    expect(events.filter(({ verdict }) => verdict === 'deny')).toMatchObject([{ ambiguous: true }]);
  });

  test('on other ports the connection is denied at once, unless its service is to be heard first', async () => {
    const echo = await guarded('disagree', send('10.86.0.60', 22, 'SSH-2.0-x\r\n'));
    expect(echo.stdout).toBe('EPERM\n');
    expect(echo.events).toMatchObject([{ verdict: 'deny', ambiguous: true, hook: 'cgroup/connect4' }]);
    const heard = await guarded(
      'disagree',
      curl('--resolve', `odd.example:${VAULT_PORT}:10.86.0.40`, `https://odd.example:${VAULT_PORT}/d`),
    );
    expect(heard.code, heard.stderr).toBe(0);
  });

  test('QUIC, which hides its name, is denied and marked', async () => {
    const program = `
import socket, errno
s = socket.socket(type=socket.SOCK_DGRAM)
try: s.sendto(b'\\xc0\\0\\0\\0\\1' + bytes(1200), ('${SHARED[0]}', 443)); print('went')
except OSError as e: print(errno.errorcode[e.errno])`;
    const { stdout, events } = await guarded('disagree', ['python3', '-c', program]);
    expect(stdout).toBe('EPERM\n');
    expect(events).toMatchObject([{ kind: 'send', verdict: 'deny', ambiguous: true }]);
  });
});

describe('what is asked of a proxy', () => {
  const by = (proxy: string, ...rest: string[]) => curl('-x', proxy, ...rest);
  test.each([
    ['CONNECT', 'open', by('http://127.0.0.1:3128', 'https://github.com/proxied')],
    ['an absolute target', 'open', by('http://127.0.0.1:3128', 'http://api.github.com/proxied')],
    [
      'CONNECT, where nothing is allowed that no rule names',
      'closed',
      by('http://127.0.0.1:3128', 'https://other.example/proxied'),
    ],
    ['CONNECT to a declared proxy', 'closed', by('http://proxy.internal:3128', 'https://github.com/proxied')],
    [
      'CONNECT to an address, of a declared proxy',
      'closed',
      by('http://proxy.internal:3128', `https://${GITHUB}/proxied`),
    ],
    ['no target, of a declared proxy', 'closed', curl('http://proxy.internal:3128/')],
  ] as const)('is denied before it hears of it: %s', async (_, policy, argv) => {
    const before = asked;
    const { code, stderr } = await guarded(policy, argv);
    expect(code).not.toBe(0);
    expect(stderr).toContain('saw      send() = EACCES');
    expect(asked).toBe(before);
  });

  test.each([
    ['an undeclared one on loopback', 'http://127.0.0.1:3128'],
    ['a declared one', 'http://proxy.internal:3128'],
  ])('is let through when it is allowed: %s', async (_, proxy) => {
    for (const url of [
      'http://tools.mirror.internal/schema-tool',
      'https://tools.mirror.internal/schema-tool',
    ]) {
      const { code, stderr, stdout, summary } = await guarded('closed', by(proxy, url));
      expect(code, stderr).toBe(0);
      expect(stdout).toContain('schema tool');
      expect(summary).toMatchObject({ denials: 0 });
    }
  });

  test('a declared proxy: the destination of the event is what it was asked for', async () => {
    const { events } = await guarded(
      'closed',
      by('http://proxy.internal:3128', 'https://tools.mirror.internal/'),
    );
    expect(events.filter(({ destination }) => destination.port === 443)).toMatchObject([
      {
        destination: { names: ['tools.mirror.internal'], address: null, port: 443, service: 'mirror' },
        verdict: 'allow',
      },
    ]);
  });
});

test('where first bytes are judged, who asks for MPTCP or Fast Open is told to go without', async () => {
  const program = `
import socket, errno
def tell(act):
    try: print(act())
    except OSError as e: print(errno.errorcode[e.errno])
tell(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close())
s = socket.socket(); tell(lambda: s.sendto(b'GET / HTTP/1.0\\r\\n\\r\\n', socket.MSG_FASTOPEN, ('10.86.0.20', 80)))
s = socket.create_connection(('10.86.0.20', 80)); s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(len(s.recv(9)))`;
  const { stdout, summary } = await guarded('open', ['python3', '-c', program]);
  expect(stdout).toBe('EPROTONOSUPPORT\nENOTSUP\n9\n');
  expect(summary).toMatchObject({ denials: 0 });
});

test('a large upload after the first bytes, and an answer, pass whole', async () => {
  const script = `head -c 8000000 /dev/zero > zeros; curl -sS -m 20 -o back -w '%{size_upload} %{http_code}' --data-binary @zeros http://tools.mirror.internal/schema-tool`;
  const { stdout, code, stderr } = await guarded('open', ['bash', '-c', script]);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/^8000000 /);
});
