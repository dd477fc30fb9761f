import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { debianPackage, resolvedScript, systemdResolved } from '../lab/debian-package.ts';
import { acyclic, STRICT } from './harness.ts';

const resolved = resolvedScript(systemdResolved());
const nscd = path.join(debianPackage('nscd'), 'usr/sbin/nscd');

/** A listener on a path, as the daemon of that name has one; it takes every connection and says nothing. */
const listener = (socket: string, life = 'while True: s.accept()'): string => `mount -t tmpfs none /run
mount -t tmpfs none /var/lib; mkdir -p "$(dirname ${socket})"
python3 -c 'import socket
s = socket.socket(socket.AF_UNIX); s.bind("${socket}"); s.listen()
${life}' & until [ -S ${socket} ]; do sleep 0.05; done
`;

const cache = (word: string): string => `mount -t tmpfs none /run; mkdir /run/nscd
printf 'enable-cache hosts ${word}\\nenable-cache passwd yes\\n' > /run/nscd.conf
'${nscd}' -F -f /run/nscd.conf > /run/nscd.log 2>&1 & daemon=$!
for i in $(seq 100); do [ -S /run/nscd/socket ] && break; sleep 0.05; done
`;

/** In namespaces of its own: a daemon is started, then `acyclic ARGS` with `hosts:` of nsswitch.conf as given. */
function withDaemon(daemon: string, hosts: string, argv: readonly string[]) {
  const directory = mkdtempSync(path.join(tmpdir(), 'acyclic-outside-'));
  const file = (name: string, text: string): string => {
    const place = path.join(directory, name);
    writeFileSync(place, text);
    return place;
  };
  const mark = path.join(directory, 'started');
  const policy = file('policy.yaml', STRICT);
  const nsswitch = file('nsswitch.conf', `passwd: files\n${hosts}\n`);
  // Daemons are told to end by the end of the namespace's processes; the shell waits for none.
  const script = `ip link set lo up; set -- DNS=127.0.0.1 "$@"
${daemon}
shift; mount --bind '${nsswitch}' /etc/nsswitch.conf
"$@"; status=$?; kill $(jobs -p) 2>/dev/null; exit $status`;
  const command = argv.map((word) => word.replace('POLICY', policy).replace('MARK', mark));
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--net', '--mount', 'bash', '-c', script, 'bash', acyclic, ...command],
    { encoding: 'utf8', timeout: 50_000 },
  );
  const started = existsSync(mark);
  rmSync(directory, { recursive: true });
  return { status, stdout, stderr, started };
}

const RUN = ['run', '-p', 'POLICY', '--', 'touch', 'MARK'];
const RESOLVE = 'hosts: files resolve [!UNAVAIL=return] dns';

describe('enforce does not start where names would be resolved from outside the run', () => {
  test.each([
    [
      'by nss-resolve',
      resolved,
      RESOLVE,
      /nss-resolve \(systemd-resolved\) would answer.*take `resolve` out/s,
    ],
    ['by nscd', cache('yes'), 'hosts: files dns', /nscd would answer.*enable-cache hosts no/s],
    [
      'by sssd',
      listener('/var/lib/sss/pipes/nss'),
      'hosts: files sss dns',
      /sssd would answer.*take `sss` out/s,
    ],
    [
      'by nslcd',
      listener('/run/nslcd/socket'),
      'hosts: files ldap [NOTFOUND=return] dns',
      /nslcd would answer/,
    ],
  ])('%s', (_, daemon, hosts, message) => {
    const { status, stderr, started } = withDaemon(daemon, hosts, RUN);
    expect(stderr).toMatch(message);
    expect({ status, started }).toEqual({ status: 125, started: false });
  });

  test('by nscd in another network namespace, where it is not listed', () => {
    const { status, stderr } = withDaemon(cache('yes'), 'hosts: files dns', [
      ...['run', '--quiet', '--', 'unshare', '--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh'],
      ...[acyclic, ...RUN],
    ]);
    expect(stderr).toContain('nscd would answer');
    expect(status).toBe(125);
  });
});

describe('it starts where', () => {
  test.each([
    ['nsswitch.conf names nss-resolve and nobody is there', 'true', RESOLVE],
    ['systemd-resolved is there and nsswitch.conf asks its stub', resolved, 'hosts: files dns'],
    ['nscd keeps no hosts', cache('no'), 'hosts: files dns'],
    ['a socket was left behind', `${listener('/run/nscd/socket', '')}wait`, 'hosts: files dns'],
    [
      'avahi answers for .local alone',
      listener('/run/avahi-daemon/socket'),
      'hosts: files mdns4_minimal [NOTFOUND=return] dns',
    ],
    ['modules resolve in the process itself', 'true', 'hosts: files myhostname dns'],
  ])('%s', (_, daemon, hosts) => {
    const { status, started, stderr } = withDaemon(daemon, hosts, RUN);
    expect({ status, started }, stderr).toEqual({ status: 0, started: true });
  });

  test('it only observes', () => {
    const { status, started } = withDaemon(resolved, RESOLVE, ['run', '--audit', ...RUN.slice(1)]);
    expect({ status, started }).toEqual({ status: 0, started: true });
  });
});

describe('doctor says', () => {
  test.each([
    [
      'that enforce will not start',
      resolved,
      RESOLVE,
      /missing +lookups +nss-resolve .* so enforce will not start\n.*→ take `resolve` out/,
    ],
    [
      'what is known by address only',
      listener('/run/avahi-daemon/socket'),
      'hosts: files mdns4_minimal dns',
      /optional +lookups +avahi.*known by address only/,
    ],
    ['that all is well', 'true', RESOLVE, /ok +lookups +names are asked by the process that needs them/],
  ])('%s', (_, daemon, hosts, message) => {
    expect(withDaemon(daemon, hosts, ['doctor']).stdout).toMatch(message);
  });
});
