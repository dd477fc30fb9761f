import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../src/demo/client.ts';
import { type CommandResult, type Lab, type RunOptions, startLab } from './lab.ts';
import { VAULT_PORT } from './services.ts';

const EXTRA = ['198.18.0.5', '2001:db8:18::5'];
let lab: Lab;

beforeAll(async () => {
  lab = await startLab({ hosts: { 'extra.example': EXTRA, 'alias.example': ['extra.example'] } });
});
afterAll(() => lab.stop());

function run(argv: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  return lab.client.run(argv, { timeoutMs: 15_000, ...options });
}

/** Standard output of a command that must succeed. */
async function output(...argv: string[]): Promise<string> {
  const result = await run(argv);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result.stdout;
}

describe('clients reach the world', () => {
  test.each([
    ['curl, IPv4', ['curl', '-sS4', 'http://github.com/'], 'hello from github.com\n'],
    ['curl, IPv6', ['curl', '-sS6', 'http://github.com/'], 'hello from github.com\n'],
    ['curl, https', ['curl', '-sS', 'https://tools.mirror.internal/'], 'hello from tools.mirror.internal\n'],
    ['curl, https to an address', ['curl', '-sS', 'https://192.0.2.7/'], 'hello from 192.0.2.7\n'],
    ['curl, a host a test added', ['curl', '-sS', 'https://alias.example/'], 'hello from alias.example\n'],
    ['curl, POST', ['curl', '-sS', '-d', 'x', 'http://apt.internal/'], 'x'],
    ['curl, vault', ['curl', '-sS', `https://vault.internal:${VAULT_PORT}/`], 'hello from vault.internal\n'],
    ['dig, UDP', ['dig', '+short', 'cdn.example'], 'www.github.com.\ngithub.com.\n192.0.2.7\n'],
    ['dig, TCP', ['dig', '+tcp', '+short', 'AAAA', 'github.com'], '2001:db8:9::7\n'],
    ['dig, another server', ['dig', '@203.0.113.53', '+short', 'github.com'], '192.0.2.7\n'],
    ['dig, IPv6', ['dig', '@2001:db8:86::53', '+short', 'github.com'], '192.0.2.7\n'],
    [
      'bash, a server that speaks first',
      ['bash', '-c', 'head -1 </dev/tcp/echo.internal/22'],
      'SSH-2.0-lab\r\n',
    ],
    ['bash, TCP echo', ['bash', '-c', 'exec 3<>/dev/tcp/10.86.0.60/7; echo a >&3; head -1 <&3'], 'a\n'],
    [
      'bash, UDP echo, IPv6',
      ['bash', '-c', 'exec 3<>/dev/udp/2001:db8:86::60/7; echo a >&3; head -1 <&3'],
      'a\n',
    ],
    [
      'bash, UDP echo, added',
      ['bash', '-c', 'exec 3<>/dev/udp/198.18.0.5/7; echo a >&3; head -1 <&3'],
      'a\n',
    ],
    [
      'python',
      [
        'python3',
        '-c',
        'import urllib.request as u; print(u.urlopen("https://github.com/").read().decode())',
      ],
      'hello from github.com\n\n',
    ],
    [
      'node fetch',
      [process.execPath, '-e', 'fetch("https://github.com/").then((r) => r.text()).then(console.log)'],
      'hello from github.com\n\n',
    ],
  ])('%s', async (_name, argv, expected) => {
    expect(await output(...argv)).toBe(expected);
  });

  test('wget', async () => {
    expect(await output('wget', '-qO-', `--ca-certificate=${lab.ca}`, 'https://github.com/')).toContain(
      'hello',
    );
  });

  test('getent sees /etc/hosts and both families', async () => {
    const found = await output('getent', 'ahosts', 'github.com');
    expect(found).toContain('192.0.2.7');
    expect(found).toContain('2001:db8:9::7');
    expect(await output('getent', 'hosts', 'localhost')).toMatch(/^(::1|127\.0\.0\.1)\s/);
  });

  test('git clones over https', async () => {
    for (const url of ['https://git.mirror.internal/tools.git', 'https://github.com/mysql/tools.git']) {
      await output('git', 'clone', '-q', url, path.basename(path.dirname(url)));
    }
    expect(await readFile(path.join(lab.client.home, 'mysql', 'README'), 'utf8')).toBe('tools for mysql\n');
  });

  test('apt-get updates from the repository and downloads the package', async () => {
    const dir = path.join(lab.dir, 'apt');
    await mkdir(path.join(dir, 'lists', 'partial'), { recursive: true });
    await mkdir(path.join(dir, 'cache', 'archives', 'partial'), { recursive: true });
    await writeFile(path.join(dir, 'sources.list'), 'deb [trusted=yes] http://apt.internal/debian ./\n');
    await writeFile(path.join(dir, 'status'), '');
    const settings = `Dir::Etc::SourceList "${dir}/sources.list";
Dir::Etc::SourceParts "-";
Dir::State "${dir}";
Dir::State::Lists "${dir}/lists";
Dir::State::Status "${dir}/status";
Dir::Cache "${dir}/cache";
APT::Sandbox::User "root";
Acquire::http::Proxy "false";
`;
    await writeFile(path.join(dir, 'apt.conf'), settings);
    const env = { APT_CONFIG: path.join(dir, 'apt.conf') };
    const update = await run(['apt-get', 'update'], { env });
    expect(update, update.stdout + update.stderr).toMatchObject({ code: 0, stderr: '' });
    const download = await run(['apt-get', 'download', 'lab-hello'], { env, cwd: dir });
    expect(download, download.stderr).toMatchObject({ code: 0 });
    expect(existsSync(path.join(dir, 'lab-hello_1.0_all.deb'))).toBe(true);
  });

  test('npm views and installs the package', async () => {
    const registry = ['--registry', 'https://npm.mirror.internal/', '--no-audit', '--no-fund'];
    expect(await output('npm', 'view', 'lab-hello', 'version', ...registry)).toBe('1.0.0\n');
    await output('npm', 'install', '--no-save', 'lab-hello', ...registry);
    expect(existsSync(path.join(lab.client.home, 'node_modules', 'lab-hello', 'index.js'))).toBe(true);
  });

  test('migrations fetches from github.com for whoever calls it', async () => {
    await output('curl', '-sS', '-X', 'POST', 'http://migrations.internal:8080/apply');
    const fetched = (await lab.world.requests()).filter(({ source }) => source.startsWith('10.86.0.30:'));
    expect(fetched.map(({ detail }) => detail)).toEqual(['GET http://github.com/mysql/schema.sql']);
  });
});

describe('nothing leads out', () => {
  test('an unreachable prefix fails at once, refusing and unknown addresses refuse, at once', async () => {
    for (const [host, errno] of [
      ['198.51.100.9', 'EHOSTUNREACH'],
      ['2001:db8:ffff::9', 'EHOSTUNREACH'],
      ['192.0.2.99', 'ECONNREFUSED'],
      ['8.8.8.8', 'ECONNREFUSED'],
      ['2606:4700::1', 'ECONNREFUSED'],
    ]) {
      const script = `require("net").connect(80, "${host}").on("error", (e) => console.log(e.code))`;
      const result = await run([process.execPath, '-e', script], { timeoutMs: 2000 });
      expect(result.stdout, host).toBe(`${errno}\n`);
    }
  });

  test('a blackhole gives no answer', async () => {
    for (const host of ['192.0.2.66', '[2001:db8:9::66]']) {
      expect((await run(['curl', '-sS', '-m', '0.3', `http://${host}/`])).code, host).toBe(28);
    }
  });

  test('the client has no interface but loopback and the wire, and a namespace of its own', async () => {
    const links = JSON.parse(await output('ip', '-json', 'link')) as {
      ifname: string;
      link_netnsid?: number;
    }[];
    expect(links.map(({ ifname }) => ifname).sort()).toEqual(['eth0', 'lo']);
    expect(await output('readlink', '/proc/self/ns/net')).not.toBe(
      `${await readlink('/proc/self/ns/net')}\n`,
    );
  });

  test('a command is not run outside the namespace it was meant for', async () => {
    const outside = { ...lab.client.namespace, path: '/proc/self/ns/net' };
    const dir = path.join(lab.dir, 'elsewhere');
    await mkdir(dir);
    const elsewhere = await Client.create(outside, dir, { nameservers: [], hosts: [], env: {} });
    const result = await elsewhere.run(['echo', 'out']);
    expect(result).toMatchObject({ code: 125, stdout: '' });
    expect(result.stderr).toContain("not in the client's network namespace");
  });
});

describe('the record', () => {
  test('holds connections, datagrams, requests and questions with what was called and by whom', async () => {
    const start = Date.now();
    await output('curl', '-sS6', 'https://api.github.com/');
    const since = <T extends { at: number }>(list: readonly T[]) => list.filter(({ at }) => at >= start);
    const connections = since(await lab.world.connections()).filter(({ kind }) => kind === 'connection');
    expect(connections).toMatchObject([{ protocol: 'tcp', address: lab.addresses.githubApi[1], port: 443 }]);
    expect(connections[0]?.source).toMatch(/^\[2001:db8:86:ffff::2\]:\d+$/);
    expect(since(await lab.world.requests())).toMatchObject([{ detail: 'GET https://api.github.com/' }]);
    expect(since(await lab.world.queries()).map(({ detail }) => detail)).toContain('api.github.com AAAA');
  });

  test('the kernel counts what no server sees', async () => {
    const before = await lab.world.received();
    await run(['bash', '-c', 'echo x >/dev/tcp/192.0.2.99/80; echo x >/dev/udp/192.0.2.99/80']);
    const after = await lab.world.received();
    expect([after.tcp - before.tcp, after.udp - before.udp, after.ipv4 - before.ipv4]).toEqual([1, 1, 2]);
  });

  test('stays empty when nothing is called', async () => {
    const before = await Promise.all([lab.world.received(), lab.world.connections()]);
    await output('true');
    expect(await Promise.all([lab.world.received(), lab.world.connections()])).toEqual(before);
  });
});

test('a server can be taken down and brought back', async () => {
  await lab.world.toggle('echo', false);
  expect((await run(['bash', '-c', 'exec 3<>/dev/tcp/10.86.0.60/7'])).code).toBe(1);
  await lab.world.toggle('echo', true);
  expect((await run(['bash', '-c', 'exec 3<>/dev/tcp/10.86.0.60/7'])).code).toBe(0);
  await expect(lab.world.toggle('github', false)).rejects.toThrow('no server is called github');
});

test('cgroup2 and bpffs stay visible to commands, and the host keeps its /etc/resolv.conf', async () => {
  const mounts = await output('cat', '/proc/self/mountinfo');
  expect(mounts).toContain(' - cgroup2 ');
  expect(mounts).toContain(' - bpf ');
  expect(await output('cat', '/etc/resolv.conf')).toContain('nameserver 10.86.0.53');
  expect(await readFile('/etc/resolv.conf', 'utf8')).not.toContain('10.86.0.53');
});

test('a command that outlives its time is killed with its children', async () => {
  const result = await run(['sh', '-c', 'sleep 60 & sleep 60'], { timeoutMs: 200 });
  expect(result.signal).toBe('SIGKILL');
  expect(result.ms).toBeLessThan(2000);
});

test('labs at once do not see each other, and stop leaves no process, mount or file', async () => {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const other = await startLab({ tls: false });
  expect((await other.client.run(['curl', '-sS', 'http://github.com/'])).stdout).toBe(
    'hello from github.com\n',
  );
  expect(await other.world.requests()).toHaveLength(1);
  const stray = other.client.spawn(['sleep', '60'], { stdio: 'ignore' });
  // One that ignores the polite request.
  await other.client.run(['sh', '-c', '(trap "" TERM; exec sleep 60) >/dev/null 2>&1 &']);
  const namespaces = await Promise.all(
    [other.client.namespace.pid, other.world.process.pid].map((pid) => readlink(`/proc/${pid}/ns/net`)),
  );
  const ended = once(stray, 'exit');
  await other.stop();
  expect((await ended)[1]).toBe('SIGTERM');
  const living = await Promise.all(
    (await readdir('/proc')).map((pid) => readlink(`/proc/${pid}/ns/net`).catch(() => null)),
  );
  expect(living.filter((identity) => identity && namespaces.includes(identity))).toEqual([]);
  expect(existsSync(other.dir)).toBe(false);
  expect(await readFile('/proc/self/mountinfo', 'utf8')).toBe(mounts);
  expect((await run(['curl', '-sS', 'http://github.com/'])).code).toBe(0);
}, 15_000);

test('a lab that cannot be set up says why and leaves nothing', async () => {
  const before = (await readdir(path.dirname(lab.dir)))
    .filter((name) => name.startsWith('acyclic-lab-'))
    .sort();
  await expect(startLab({ hosts: { 'bad.example': ['0.0.0.0'] } })).rejects.toThrow(/failed/);
  const after = (await readdir(path.dirname(lab.dir)))
    .filter((name) => name.startsWith('acyclic-lab-'))
    .sort();
  expect(after).toEqual(before);
});
