import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { nssResolve } from '../lab/debian-package.ts';
import { acyclic } from './harness.ts';
import { cache, resolved, SERVER, withDaemon } from './resolver-daemons.ts';

const servers = fileURLToPath(new URL('../lab/misbehaving.ts', import.meta.url));
const module = `LD_LIBRARY_PATH=${nssResolve()}`;
const zone = { 'tools.mirror.internal': ['A 10.86.0.10'], 'github.com': ['A 192.0.2.7'] };

/** A name server, and a link that makes systemd-resolved ask it. */
const server = `ip link add up0 type veth peer down0; ip addr add 10.86.0.1/24 dev up0
ip link set up0 up; ip link set down0 up
'${process.execPath}' '${servers}' '${JSON.stringify([{ address: SERVER, port: 53, zone }])}' > PLACE/server &
until [ -s PLACE/server ]; do sleep 0.05; done
`;

/** Once the command has done its part, and before it ends, somebody outside the run does this. */
const outside = (script: string): string => `(until [ -e PLACE/inside ]; do sleep 0.05; done
${script} > PLACE/said 2>&1; mv PLACE/said PLACE/outside) &
`;

const run = (script: string): string[] => [
  ...['run', '-p', 'POLICY', '--allow', '*.mirror.internal', '--report', 'REPORT', '--', 'sh', '-c'],
  `${script}
touch PLACE/inside; until [ -e PLACE/outside ]; do sleep 0.05; done; cat PLACE/outside`,
];

const LOOKUPS = `export ${module}
getent ahostsv4 tools.mirror.internal; echo "allowed $?"
getent ahostsv4 github.com; echo "denied $?"
getent passwd root; echo "user $?"`;

/** Sockets that were closed to the run, with who called them; what was looked up, and what came of it. */
function recorded(events: ReturnType<typeof withDaemon>['events']) {
  const closed = events.filter(({ kind }) => kind === 'exec-outside');
  const looked = events.filter(({ kind }) => kind === 'dns');
  return {
    closed: closed.map(({ destination, process, verdict, rule, outcome, hook }) => ({
      ...{ path: destination.names[0], comm: process.comm, verdict, reason: rule.reason },
      ...{ errno: outcome.errno, hook },
    })),
    looked: looked.map(({ destination, verdict }) => `${destination.names[0]} ${verdict}`),
    summary: events.at(-1),
  };
}

const ADDRESS = '10.86.0.10      STREAM tools.mirror.internal';

describe('systemd-resolved is closed to the run, which asks its own `dns`', () => {
  test.each([
    ['as Debian has it', 'hosts: files resolve [!UNAVAIL=return] dns'],
    ['as systemd has it', 'hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns'],
    ['without actions', 'hosts: resolve files dns'],
  ])('%s', (_, hosts) => {
    const { status, stdout, stderr, events } = withDaemon(
      server + resolved + outside(`${module} getent -s resolve ahostsv4 github.com`),
      hosts,
      run(`${LOOKUPS}
getent -s resolve ahostsv4 tools.mirror.internal; echo "module $?"`),
    );
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${ADDRESS}[^]*allowed 0\ndenied 2\nroot:.*\nuser 0\nmodule 2\n`));
    expect(stdout, 'a process outside still reaches it').toMatch(/\n192\.0\.2\.7 +STREAM github\.com\n/);
    expect(stderr).toContain('→ github.com (dns)');
    const { closed, looked, summary } = recorded(events);
    expect(closed).toHaveLength(3);
    for (const call of closed)
      expect(call).toEqual({
        path: '/run/systemd/resolve/io.systemd.Resolve',
        comm: 'getent',
        verdict: null,
        reason: 'resolved resolves names, outside the run: its socket is closed to the run',
        errno: 'ECONNREFUSED',
        hook: 'cgroup/connect_unix',
      });
    expect(looked).toEqual(['tools.mirror.internal allow', 'github.com deny']);
    expect(summary).toMatchObject({ denials: 1, lost: {} });
  });
});

/** Asks nscd itself for a name: 1 where it answers with an address. */
const ASK_NSCD = `python3 -c 'import socket, struct
s = socket.socket(socket.AF_UNIX); s.connect("/run/nscd/socket")
name = b"github.com\\0"; s.sendall(struct.pack("=iii", 2, 4, len(name)) + name)
print("nscd found", struct.unpack("=ii", s.recv(1024)[:8])[1])'`;

const SPELLINGS = `python3 -c 'import os, socket, threading
def attempt(path):
    try: socket.socket(socket.AF_UNIX).connect(path); print(path, "open")
    except OSError as error: print(path, os.strerror(error.errno))
for path in ["/run/nscd/socket", "//run/./nscd//socket", "/run/nscd/socket2", "/run/nscd/socke", "/run/nscd"]: attempt(path)
thread = threading.Thread(target=attempt, args=["/var/run/nscd/socket"]); thread.start(); thread.join()'`;

describe('nscd is closed to the run, which looks up by itself', () => {
  test('hosts and users; outside it answers on', () => {
    const { status, stdout, stderr, events } = withDaemon(
      server + cache('yes') + outside(ASK_NSCD),
      'hosts: files dns',
      run(`${LOOKUPS}\n${ASK_NSCD} 2>&1 | tail -1`),
    );
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${ADDRESS}[^]*allowed 0\ndenied 2\nroot:.*\nuser 0\n`));
    expect(stdout).toMatch(/ConnectionRefusedError.*\nnscd found 1\n/);
    const { closed, looked } = recorded(events);
    expect(looked).toEqual(['tools.mirror.internal allow', 'github.com deny']);
    expect(closed).toContainEqual({
      path: '/var/run/nscd/socket',
      comm: 'getent',
      verdict: null,
      reason: 'nscd resolves names, outside the run: its socket is closed to the run',
      errno: 'ECONNREFUSED',
      hook: 'cgroup/connect_unix',
    });
  });

  test('by every spelling of its path, in every thread, and no other socket is', () => {
    const { stdout, stderr } = withDaemon(
      `${cache('yes')}python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("/run/nscd/socket2"); s.listen(); time.sleep(30)' &
until [ -S /run/nscd/socket2 ]; do sleep 0.05; done
${outside('true')}`,
      'hosts: files dns',
      run(SPELLINGS),
    );
    expect(stdout, stderr).toBe(
      `/run/nscd/socket Connection refused
//run/./nscd//socket Connection refused
/run/nscd/socket2 open
/run/nscd/socke No such file or directory
/run/nscd Connection refused
/var/run/nscd/socket Connection refused
`,
    );
  });

  test('in another network namespace too, where it is not listed', () => {
    const { status, stdout, stderr } = withDaemon(`${cache('yes')}${outside('true')}`, 'hosts: files dns', [
      ...['run', '--quiet', '--', 'unshare', '--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh'],
      ...[acyclic, ...run(`${ASK_NSCD} 2>&1 | tail -1`)],
    ]);
    expect(stdout, stderr).toMatch(/^ConnectionRefusedError/);
    expect(status).toBe(0);
  });

  test('but not in audit mode', () => {
    const { stdout, stderr, events } = withDaemon(
      server + cache('yes') + outside('true'),
      'hosts: files dns',
      ['run', '--audit', ...run(ASK_NSCD).slice(1)],
    );
    expect(stdout, stderr).toBe('nscd found 1\n');
    const { closed } = recorded(events);
    expect(closed.map(({ verdict, errno }) => ({ verdict, errno }))).toContainEqual({
      verdict: 'allow',
      errno: null,
    });
    expect(closed.filter(({ hook }) => hook === 'cgroup/connect_unix')).toEqual([]);
  });
});
