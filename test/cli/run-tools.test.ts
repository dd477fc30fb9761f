import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Lab, startLab } from '../lab/lab.ts';
import { VAULT_PORT } from '../lab/services.ts';
import { readReport } from '../report.ts';
import { acyclic, remains } from './harness.ts';

/** A denied call and its command's own clean-up take far less; a retry storm or a hang takes more. */
const PROMPT_MS = 3000;

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github:
    hosts: [github.com, "*.github.com"]
    addresses: [192.0.2.0/24, "2001:db8:9::/48"]
    depends_on: [mysql]
  mirror: { hosts: [apt.internal, "*.mirror.internal"], addresses: [10.86.0.20, "2001:db8:86::20"] }
  echo: { addresses: [10.86.0.60, "2001:db8:86::60"] }
deployments:
  mysql: { allow: [{ service: mirror }, { host: vault.internal }, { service: echo, ports: [7] }, { host: cdn.example }] }
`;

let lab: Lab;
let policy: string;
let aptConfig: string;
beforeAll(async () => {
  lab = await startLab();
  policy = path.join(lab.dir, 'policy.yaml');
  await writeFile(policy, POLICY);
  const apt = path.join(lab.dir, 'apt');
  await mkdir(path.join(apt, 'lists', 'partial'), { recursive: true });
  await mkdir(path.join(apt, 'cache', 'archives', 'partial'), { recursive: true });
  await writeFile(path.join(apt, 'status'), '');
  aptConfig = path.join(apt, 'apt.conf');
  const settings = `Dir::Etc::SourceList "${apt}/sources.list"; Dir::Etc::SourceParts "-"; Dir::State "${apt}";
Dir::State::Lists "${apt}/lists"; Dir::State::Status "${apt}/status"; Dir::Cache "${apt}/cache"; APT::Sandbox::User "root";
`;
  await writeFile(aptConfig, settings);
});
afterAll(async () => {
  await lab.stop();
  expect(remains()).toEqual([]);
});

async function guarded(argv: readonly string[], ...options: string[]) {
  const report = path.join(lab.dir, 'report.jsonl');
  const command = [acyclic, 'run', '--quiet', '-p', policy, '--report', report, ...options, '--', ...argv];
  const result = await lab.client.run(command, { timeoutMs: 30_000, env: { APT_CONFIG: aptConfig } });
  const events = readReport(report);
  return { ...result, events, summary: events.pop() };
}

/** The connections and requests of github.com, as its own network saw them. */
async function githubSaw(): Promise<number> {
  const [connections, requests] = [await lab.world.connections(), await lab.world.requests()];
  return [...connections, ...requests].filter(({ address }) => /^(192\.0\.2\.|2001:db8:9::)/.test(address))
    .length;
}

const NODE_LOOKUP = `require('dns').lookup(process.argv[1], (e, a) => { console.log(e ? e.code : a); process.exit(e ? 1 : 0) })`;
const NODE_CARES = `require('dns').resolve4(process.argv[1], (e, a) => { console.log(e ? e.code : a[0]); process.exit(e ? 1 : 0) })`;
const NODE_FETCH = `fetch(process.argv[1]).then(async (r) => console.log(await r.text()), (e) => { console.log(e.cause?.code); process.exit(1) })`;
const PYTHON = 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())';

/** Each tool against a host: the mirror, which is allowed, and github.com, which is circular. */
const TOOLS: [name: string, argv: (host: string, address: string) => string[]][] = [
  ['curl', (host) => ['curl', '-sS', `http://${host}/`]],
  ['curl over https', (host) => ['curl', '-sS', `https://${host}/`]],
  ['curl over IPv6', (host) => ['curl', '-sS6', `http://${host}/`]],
  ['curl by address', (_, address) => ['curl', '-sS', `http://${address}/`]],
  ['wget', (host) => ['wget', '-q', '-O', '-', '--tries=1', `http://${host}/`]],
  ['getent', (host) => ['getent', 'hosts', host]],
  ['bash /dev/tcp by name', (host) => ['bash', '-c', `exec 3<>/dev/tcp/${host}/80`]],
  ['bash /dev/tcp by address', (_, address) => ['bash', '-c', `exec 3<>/dev/tcp/${address}/80`]],
  ['Python', (host) => ['python3', '-c', PYTHON, `http://${host}/`]],
  ['Node, libuv', (host) => [process.execPath, '-e', NODE_LOOKUP, host]],
  ['Node, c-ares', (host) => [process.execPath, '-e', NODE_CARES, host]],
  ['Node, fetch', (host) => [process.execPath, '-e', NODE_FETCH, `http://${host}/`]],
];

describe('tools of a deploy work where they are allowed, and fail promptly where they are not', () => {
  test.each(TOOLS)('%s', async (_, argv) => {
    const allowed = await guarded(argv('tools.mirror.internal', '10.86.0.20'));
    expect(allowed, allowed.stderr + allowed.stdout).toMatchObject({ code: 0 });
    expect(allowed.summary).toMatchObject({ denials: 0, lost: {} });
    const before = await githubSaw();
    const denied = await guarded(argv('github.com', '192.0.2.7'));
    expect(denied.code).not.toBe(0);
    expect(denied.stderr).toMatch(/acyclic: denied .* → (github\.com|192\.0\.2\.7)/);
    expect(denied.summary.duration_ms).toBeLessThan(PROMPT_MS);
    expect(denied.summary.denials).toBeLessThan(9);
    expect(denied.summary).toMatchObject({ cycles: [['mysql', 'github', 'mysql']], lost: {} });
    expect(await githubSaw()).toBe(before);
  });

  test('dig, whatever server it names, by UDP and TCP, of both families; a denied name says why', async () => {
    for (const server of [[], ['@203.0.113.53'], ['@2001:db8:53::53'], ['+tcp'], ['+tcp', '@203.0.113.53']]) {
      const allowed = await guarded(['dig', '+short', ...server, 'tools.mirror.internal']);
      expect(allowed.stdout, server.join(' ')).toBe('10.86.0.20\n');
      const denied = await guarded(['dig', ...server, 'github.com']);
      expect(denied.stdout).toMatch(/status: NXDOMAIN/);
      expect(denied.stdout).toMatch(
        /EDE: 15 \(Blocked\): \(denied by acyclic: circular \(policy\.yaml:4\): mysql → github → mysql/,
      );
      expect(denied.stdout).toContain(
        `SERVER: ${server.at(-1)?.startsWith('@') ? server.at(-1)?.slice(1) : '10.86.0.53'}#53`,
      );
    }
    const asked = (await lab.world.queries()).map(({ detail }) => detail);
    expect(asked.filter((detail) => detail?.startsWith('github.com '))).toEqual([]);
  });

  test('on_deny: refuse and resolve', async () => {
    const variant = async (word: string) => {
      await writeFile(policy, POLICY.replace('mysql: { allow', `mysql: { dns: { on_deny: ${word} }, allow`));
      const [dig, curl] = [
        await guarded(['dig', 'github.com']),
        await guarded(['curl', '-sS', 'http://github.com/']),
      ];
      await writeFile(policy, POLICY);
      return { dig, curl };
    };
    const refuse = await variant('refuse');
    expect(refuse.dig.stdout).toMatch(/status: REFUSED[\s\S]*EDE: 15/);
    const before = await githubSaw();
    const resolve = await variant('resolve');
    expect(resolve.dig.stdout).toMatch(/status: NOERROR[\s\S]*192\.0\.2\.7/);
    expect(resolve.curl.stderr).toMatch(
      /denied curl\[\d+\] → github\.com:80\/tcp \((192\.0\.2\.7|2001:db8:9::7)\)/,
    );
    expect(await githubSaw()).toBe(before);
  });

  test('an alias of a denied name is denied with its whole chain, though the alias is allowed', async () => {
    const { code, events } = await guarded(['curl', '-sS', 'http://cdn.example/']);
    expect(code).not.toBe(0);
    expect(events[0]).toMatchObject({
      kind: 'dns',
      verdict: 'deny',
      destination: { names: ['cdn.example', 'www.github.com', 'github.com'] },
    });
  });

  test('git over https', async () => {
    const clone = (host: string) => [
      'git',
      'clone',
      '-q',
      `https://${host}/tools.git`,
      path.join(lab.dir, `git-${host}`),
    ];
    const allowed = await guarded(clone('git.mirror.internal'));
    expect(allowed, allowed.stderr).toMatchObject({ code: 0 });
    const denied = await guarded(clone('github.com'));
    expect(denied.code).toBe(128);
    expect(denied.stderr.indexOf('acyclic: denied')).toBeLessThan(denied.stderr.indexOf('fatal:'));
    expect(denied.summary.duration_ms).toBeLessThan(PROMPT_MS);
  });

  test('the resolver looking at routes to several addresses is no call, so nothing is denied', async () => {
    const own = path.join(lab.dir, 'routes.yaml');
    await writeFile(
      own,
      POLICY.replace('[{ service: mirror }', '[{ host: tools.mirror.internal, ports: [80/tcp] }'),
    );
    const { code, stderr } = await lab.client.run([
      ...[acyclic, 'run', '--quiet', '-p', own, '--fail-on', 'deny', '--'],
      ...['curl', '-sS', 'http://tools.mirror.internal/'],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test('apt-get', async () => {
    const source = (host: string) =>
      writeFile(path.join(lab.dir, 'apt/sources.list'), `deb [trusted=yes] http://${host}/debian ./\n`);
    await source('apt.internal');
    const allowed = await guarded(['apt-get', 'update']);
    expect(allowed, allowed.stderr).toMatchObject({ code: 0 });
    await source('github.com');
    const denied = await guarded([
      'apt-get',
      '-o',
      'APT::Update::Error-Mode=any',
      '-o',
      'Acquire::Retries=0',
      'update',
    ]);
    expect(denied.code).toBe(100);
    expect(denied.summary.duration_ms).toBeLessThan(PROMPT_MS);
  });

  test('npm', async () => {
    const view = (host: string) => [
      'npm',
      'view',
      'lab-hello',
      'version',
      '--registry',
      `https://${host}/`,
      '--fetch-retries=0',
    ];
    const allowed = await guarded(view('npm.mirror.internal'));
    expect(allowed, allowed.stderr).toMatchObject({ code: 0 });
    const denied = await guarded(view('github.com'));
    expect(denied.code).not.toBe(0);
    expect(denied.stderr).toContain('acyclic: denied');
  });
});

describe('what is no call of the run is not touched', () => {
  test('a process outside reaches what the run may not, while the run goes on', async () => {
    const run = guarded(['bash', '-c', 'sleep 2; exec 3<>/dev/tcp/192.0.2.7/80']);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect((await lab.client.run(['curl', '-sS', 'http://github.com/'])).stdout).toBe(
      'hello from github.com\n',
    );
    expect((await run).code).toBe(1);
  });

  test('servers of the run accept and answer, over TCP and UDP, whoever calls', async () => {
    const server = `
import socket, threading
def tcp():
    s = socket.socket(socket.AF_INET6); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('::', 7001)); s.listen()
    c, _ = s.accept(); c.sendall(b'tcp:' + c.recv(9)); c.close()
def udp(family, address):
    s = socket.socket(family, socket.SOCK_DGRAM); s.bind((address, 7002))
    for _ in range(2):
        data, peer = s.recvfrom(9); s.sendto(b'udp:' + data, peer)
threads = [threading.Thread(target=tcp), threading.Thread(target=udp, args=(socket.AF_INET, '0.0.0.0'))]
for t in threads: t.start()
print('ready', flush=True)
for t in threads: t.join()`;
    const caller = `
import socket, sys
from_address = sys.argv[1]
t = socket.create_connection((from_address, 7001), 5); t.sendall(b'a'); out = [t.recv(9)]
for i in range(2):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind((from_address, 0)); u.settimeout(5)
    u.sendto(b'b', (from_address, 7002)); out.append(u.recv(9))
print(out)`;
    const run = guarded(['python3', '-c', server], '--deny', '10.86.0.0/16', '--deny', '127.0.0.0/8');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const own = (await lab.client.run(['ip', '-4', '-o', 'addr', 'show', 'scope', 'global'])).stdout;
    const [, address = ''] = /inet ([\d.]+)/.exec(own) ?? [];
    const called = await lab.client.run(['python3', '-c', caller, address], { timeoutMs: 10_000 });
    expect(called.stdout, called.stderr).toBe("[b'tcp:a', b'udp:b', b'udp:b']\n");
    const { code, summary } = await run;
    expect(code).toBe(0);
    expect(summary).toMatchObject({ calls: 0, denials: 0 });
  });

  test('audit changes no answer: the server named is asked, and names are learned in passing', async () => {
    const { stdout, events } = await guarded(
      ['bash', '-c', 'dig +short @203.0.113.53 github.com; curl -sS4 http://github.com/'],
      '--audit',
    );
    expect(stdout).toBe('192.0.2.7\nhello from github.com\n');
    const connect = events.find(({ kind, destination }) => kind === 'connect' && destination.port === 80);
    expect(connect).toMatchObject({
      verdict: 'would-deny',
      destination: { names: ['github.com'], service: 'github' },
    });
  });

  test('ten runs at once under different policies do not disturb one another', async () => {
    const address = (i: number) => `10.86.0.${[20, 30, 40, 60, 10][i % 5]}`;
    const port = (i: number) => [80, 8080, VAULT_PORT, 7, 3306][i % 5];
    const attempts = Array.from({ length: 10 }, async (_, i) => {
      const own = path.join(lab.dir, `policy-${i}.yaml`);
      await writeFile(
        own,
        `version: 1\nservices: { s${i}: {} }\ndeployments: { s${i}: { allow: [{ address: ${address(i)} }] } }\n`,
      );
      const dial = Array.from(
        { length: 5 },
        (_, j) => `(exec 3<>/dev/tcp/${address(j)}/${port(j)}) 2>/dev/null; echo $?`,
      ).join('; ');
      const { stdout } = await lab.client.run(
        [acyclic, 'run', '--quiet', '-p', own, '--', 'bash', '-c', dial],
        { timeoutMs: 30_000 },
      );
      return stdout.trim().split('\n');
    });
    const seen = await Promise.all(attempts);
    const allowed = seen.map((statuses) =>
      statuses.map((status, i) => (status === '0' ? i : -1)).filter((i) => i >= 0),
    );
    expect(allowed).toEqual(Array.from({ length: 10 }, (_, i) => [i % 5]));
  });
});
