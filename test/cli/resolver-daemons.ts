import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { debianPackage, resolvedScript, systemdResolved } from '../lab/debian-package.ts';
import { readReport } from '../report.ts';
import { acyclic, STRICT } from './harness.ts';

/** Starts systemd-resolved, which asks this server. */
export const resolved = resolvedScript(systemdResolved());
const nscd = path.join(debianPackage('nscd'), 'usr/sbin/nscd');

/** A listener on a path, as the daemon of that name has one; it takes every connection and says nothing. */
export const listener = (socket: string, life = 'while True: s.accept()'): string => `mount -t tmpfs none /run
mount -t tmpfs none /var/lib; mkdir -p "$(dirname ${socket})"
python3 -c 'import socket
s = socket.socket(socket.AF_UNIX); s.bind("${socket}"); s.listen()
${life}' & until [ -S ${socket} ]; do sleep 0.05; done
`;

/** nscd, which answers for hosts or does not. */
export const cache = (word: string): string => `mount -t tmpfs none /run; mkdir /run/nscd
printf 'enable-cache hosts ${word}\\nenable-cache passwd yes\\n' > /run/nscd.conf
'${nscd}' -F -f /run/nscd.conf > /run/nscd.log 2>&1 & daemon=$!
for i in $(seq 100); do [ -S /run/nscd/socket ] && break; sleep 0.05; done
`;

/** Where the name server of these hosts is, if any. */
export const SERVER = '127.53.0.1';

/**
 * In namespaces of its own: a daemon is started, then `acyclic ARGS` with `hosts:` of nsswitch.conf as given. In ARGS
 * and the daemon's script POLICY, MARK, REPORT and PLACE stand for files and their directory.
 */
export function withDaemon(daemon: string, hosts: string, argv: readonly string[]) {
  const directory = mkdtempSync(path.join(tmpdir(), 'acyclic-outside-'));
  const file = (name: string, text: string): string => {
    const place = path.join(directory, name);
    writeFileSync(place, text);
    return place;
  };
  const mark = path.join(directory, 'started');
  const policy = file('policy.yaml', STRICT);
  const report = path.join(directory, 'report');
  const resolv = file('resolv.conf', `nameserver ${SERVER}\n`);
  const nsswitch = file('nsswitch.conf', `passwd: files\n${hosts}\n`);
  const filled = (text: string): string =>
    text
      .replaceAll('POLICY', policy)
      .replaceAll('MARK', mark)
      .replaceAll('REPORT', report)
      .replaceAll('PLACE', directory);
  // Daemons are told to end by the end of the namespace's processes; the shell waits for none.
  const script = `ip link set lo up; set -- DNS=${SERVER} "$@"
mount --bind '${resolv}' /etc/resolv.conf
${filled(daemon)}
shift; mount --bind '${nsswitch}' /etc/nsswitch.conf
"$@"; status=$?; kill $(jobs -p) 2>/dev/null; exit $status`;
  const command = argv.map(filled);
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--net', '--mount', 'bash', '-c', script, 'bash', acyclic, ...command],
    { encoding: 'utf8', timeout: 50_000 },
  );
  const started = existsSync(mark);
  const events = existsSync(report) ? readReport(report) : [];
  rmSync(directory, { recursive: true });
  return { status, stdout, stderr, started, events };
}
