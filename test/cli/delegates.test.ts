import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/model/event.ts';
import { readReport } from '../report.ts';
import { acyclic } from './harness.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'acyclic-delegates-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Listens where delegates do, says for whom once it is there, and writes down every path somebody connects to. */
const LISTENER = `
import os, selectors, socket, sys
seen = open(sys.argv[1], 'a', buffering=1)
waiting = selectors.DefaultSelector()
for path in sys.argv[2:]:
    family = socket.AF_INET if path.isdigit() else socket.AF_UNIX
    s = socket.socket(family)
    if path.isdigit(): s.bind(('127.0.0.1', int(path)))
    elif path[0] == '@': s.bind('\\0' + path[1:])
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        s.bind(path)
    s.listen()
    waiting.register(s, selectors.EVENT_READ, path)
seen.write('ready\\n')
while True:
    for key, _ in waiting.select():
        key.fileobj.accept()
        seen.write(key.data + '\\n')
`;

/** Connects to each, and says how that went. */
const CALLER = `
import errno, socket, sys
for path in sys.argv[1:]:
    s = socket.socket(socket.AF_INET if path.isdigit() else socket.AF_UNIX)
    try:
        s.connect(('127.0.0.1', int(path)) if path.isdigit() else '\\0' + path[1:] if path[0] == '@' else path)
        print(path, 'open')
    except OSError as e: print(path, errno.errorcode[e.errno])
    s.close()
`;

interface Ran {
  readonly status: number | null;
  /** What each call came to, in order. */
  readonly calls: string[];
  /** What the listeners were called by, in order, the run's and then one's from outside. */
  readonly seen: string[];
  readonly stderr: string;
  /** The summary last. */
  readonly events: readonly AuditEvent[];
}

/**
 * In namespaces of its own, with an empty /run: listeners at these places, then a run that calls them, then a process
 * outside that calls the first.
 */
function handOn(
  policy: string,
  places: readonly string[],
  called = places,
  options: readonly string[] = [],
): Ran {
  const file = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const [seen, report] = [join(directory, 'seen'), join(directory, 'report')];
  for (const path of [seen, report]) rmSync(path, { force: true });
  const arguments_ = [file('policy.yaml', policy), file('listener.py', LISTENER), file('caller.py', CALLER)];
  const script = `ip link set lo up; mount -t tmpfs none /run; mkdir -p /run/user/1000
POLICY=$1 LISTENER=$2 CALLER=$3 SEEN=$4 REPORT=$5; shift 5
python3 $LISTENER $SEEN $PLACES & until [ -s $SEEN ]; do sleep 0.05; done
"$ACYCLIC" run -p $POLICY --report $REPORT "$@" -- python3 $CALLER $CALLED; status=$?
python3 $CALLER $FIRST > /dev/null
kill %1; exit $status`;
  const env = {
    ...process.env,
    ACYCLIC: acyclic,
    PLACES: places.join(' '),
    CALLED: called.join(' '),
    FIRST: places[0],
  };
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--net', '--mount', 'bash', '-c', script, 'bash', ...arguments_, seen, report, ...options],
    { encoding: 'utf8', timeout: 50_000, env },
  );
  const lines = (text: string) => text.split('\n').filter(Boolean);
  return {
    ...{ status, stderr, calls: lines(stdout), seen: lines(readFileSync(seen, 'utf8')).slice(1) },
    events: existsSync(report) ? readReport(report) : [],
  };
}

const policyOf = (delegate: string, rest = '') => `version: 1
services: { mysql: { hosts: ["*.mysql.internal"] } }
deployments:
  mysql:
    ${rest}
    delegate: ${delegate}
`;

/** What was recorded of each call: `path verdict kind`. */
function handed({ events }: Ran): string[] {
  return events
    .filter(({ kind }) => kind === 'exec-outside')
    .map(({ destination, verdict, rule }) => `${destination?.names[0]} ${verdict} ${rule?.kind}`);
}

describe('a denied delegate is closed to the run', () => {
  test('by every spelling, and is told as any denial; outside it is reached', () => {
    const ran = handOn(
      policyOf('{ docker: deny }'),
      ['/run/docker.sock', '/run/containerd/containerd.sock'],
      ['/run/docker.sock', '/var/run/docker.sock', '//run/./docker.sock', '/run/containerd/containerd.sock'],
    );
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.calls).toEqual([
      '/run/docker.sock EPERM',
      // /var/run is a link to the /run of this machine's file system.
      '/var/run/docker.sock EPERM',
      '//run/./docker.sock EPERM',
      '/run/containerd/containerd.sock open',
    ]);
    expect(ran.seen).toEqual(['/run/containerd/containerd.sock', '/run/docker.sock']);
    expect(ran.stderr).toMatch(
      /acyclic: denied caller\.py\[\d+\] → \/run\/docker\.sock\n +rule +deny \(.*policy\.yaml:6\)\n +reason +docker runs containers, outside the run: delegate\.docker is deny\n +process .*\n +saw +connect\(\) = EPERM/,
    );
    const [first] = ran.events.filter(({ kind }) => kind === 'exec-outside');
    expect(first).toMatchObject({
      destination: { address: null, port: null, protocol: 'unix', names: ['/run/docker.sock'] },
      process: { comm: 'python3' },
      verdict: 'deny',
      rule: { source: expect.stringMatching(/policy\.yaml:6$/), kind: 'deny' },
      outcome: { errno: 'EPERM' },
      hook: 'cgroup/connect_unix',
    });
    expect(handed(ran).at(-1)).toBe('/run/containerd/containerd.sock would-deny default');
    expect(ran.events.at(-1)).toMatchObject({ kind: 'summary', denials: 3, would_deny: 1, lost: {} });
  });

  test('with the errno of the policy', () => {
    const { calls } = handOn(policyOf('{ podman: deny }', 'on_deny: ECONNREFUSED'), [
      '/run/podman/podman.sock',
    ]);
    expect(calls).toEqual(['/run/podman/podman.sock ECONNREFUSED']);
  });

  test('systemd with its bus, also a user’s', () => {
    const places = [
      '/run/systemd/private',
      '/run/dbus/system_bus_socket',
      '/run/user/1000/bus',
      '/run/user/1000/systemd/private',
      '@/tmp/dbus-acyclic-test',
    ];
    const ran = handOn(policyOf('{ systemd: deny }'), places);
    expect(ran.calls).toEqual(places.map((path) => `${path} EPERM`));
    expect(ran.seen).toEqual(['/run/systemd/private']);
    expect(handed(ran)).toEqual(places.map((path) => `${path} deny deny`));
  });

  test('at a place of its own, if it listens there when the run begins', () => {
    const place = join(directory, 'rootless', 'docker.sock');
    const ran = handOn(policyOf('{ docker: deny }'), [place]);
    rmSync(place);
    expect(ran.calls).toEqual([`${place} EPERM`]);
  });

  test('at a place it takes later, once it was called there', () => {
    const place = join(directory, 'later', 'docker.sock');
    const text = policyOf('{ docker: deny }');
    writeFileSync(
      join(directory, 'late.sh'),
      `python3 -c '${LISTENER.replaceAll("'", '"')}' ${join(directory, 'late-seen')} ${place} &
until [ -S ${place} ]; do sleep 0.05; done
for i in 1 2; do sleep 0.3; python3 ${join(directory, 'caller.py')} ${place}; done; kill %1`,
    );
    const ran = handOn(text, ['/run/unrelated'], ['/run/unrelated']);
    expect(ran.calls).toEqual(['/run/unrelated open']);
    const report = join(directory, 'late-report');
    const { stdout, stderr } = spawnSync(
      'unshare',
      [
        ...[
          '--net',
          '--mount',
          'bash',
          '-c',
          'ip link set lo up; mount -t tmpfs none /run; exec "$@"',
          'bash',
        ],
        ...[
          acyclic,
          'run',
          '-p',
          join(directory, 'policy.yaml'),
          '--report',
          report,
          '--',
          'bash',
          join(directory, 'late.sh'),
        ],
      ],
      { encoding: 'utf8', timeout: 50_000 },
    );
    expect(stdout.split('\n').filter(Boolean), stderr).toEqual([`${place} open`, `${place} EPERM`]);
    expect(handed({ ...ran, events: readReport(report) })).toEqual([
      `${place} would-deny deny`,
      `${place} deny deny`,
    ]);
  });

  test('sshd by TCP on this host', () => {
    const ran = handOn(policyOf('{ sshd: deny }', 'default: allow'), [
      '22',
      '23',
      '/run/ssh-unix-local/socket',
    ]);
    expect(ran.calls).toEqual(['22 EPERM', '23 open', '/run/ssh-unix-local/socket EPERM']);
    expect(ran.stderr).toMatch(
      /→ localhost:22\/tcp \(127\.0\.0\.1\)\n +rule +deny \(.*:6\)\n +reason +sshd runs commands/,
    );
  });
});

describe('work that is not denied', () => {
  const places = ['/run/docker.sock', '/run/podman/podman.sock', '/run/crio/crio.sock'];
  const delegate = '{ docker: allow, podman: audit }';

  test('goes through, and is marked or not as the policy says', () => {
    const ran = handOn(policyOf(delegate), places);
    expect(ran.calls).toEqual(places.map((path) => `${path} open`));
    expect(handed(ran)).toEqual([
      '/run/docker.sock allow allow',
      '/run/podman/podman.sock would-deny audit',
      '/run/crio/crio.sock would-deny default',
    ]);
    expect(ran.events.at(-1)).toMatchObject({ denials: 0, would_deny: 2 });
  });

  test('and what it sets going is left to the daemon, which is said', () => {
    const ran = handOn(policyOf('{}', 'observe_units: true'), ['/run/docker.sock']);
    expect(ran.stderr).toMatch(/acyclic: not watched: units that the run sets going/);
  });

  test('is denied in word alone in audit mode', () => {
    const ran = handOn(policyOf('{ docker: deny }'), ['/run/docker.sock'], ['/run/docker.sock'], ['--audit']);
    expect(ran.calls).toEqual(['/run/docker.sock open']);
    expect(handed(ran)).toEqual(['/run/docker.sock would-deny deny']);
  });

  test('has the staged policy’s word beside it, which is never enforced', () => {
    const next = join(directory, 'next.yaml');
    writeFileSync(next, policyOf('{ docker: deny, crio: allow }'));
    const ran = handOn(policyOf(delegate, `staged: ${next}`), places);
    expect(ran.calls).toEqual(places.map((path) => `${path} open`));
    const words = ran.events
      .filter(({ kind }) => kind === 'exec-outside')
      .map(({ verdict, staged }) => [verdict, staged?.verdict, staged?.rule.kind]);
    expect(words).toEqual([
      ['allow', 'deny', 'deny'],
      ['would-deny', 'would-deny', 'default'],
      ['would-deny', 'allow', 'allow'],
    ]);
    // podman is marked by a rule before and by default after: it is let through alike.
    expect(ran.events.at(-1)).toMatchObject({ staged: { differs: 2, denied: 1, allowed: 0 } });
  });
});
