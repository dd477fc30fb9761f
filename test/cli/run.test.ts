import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openPlace, type Place, remains, STRICT } from './harness.ts';

let place: Place;
let policy: string;
beforeAll(() => {
  place = openPlace();
  policy = place.file('policy.yaml', STRICT);
});
afterAll(() => place.close());
afterEach(() => expect(remains()).toEqual([]));

const DIAL = 'exec 3<>/dev/tcp/192.0.2.7/443';

describe('exit status', () => {
  test.each([
    ["the command's own", ['--', 'sh', '-c', 'exit 7'], 7],
    ['128+n for a signal', ['--', 'sh', '-c', 'kill -TERM $$'], 143],
    ['137 for kill -9 of the command', ['--', 'sh', '-c', 'kill -9 $$'], 137],
    ['124 timed out', ['--timeout', '0.3', '--', 'sleep', '20'], 124],
    ['126 not executable', ['--', '/etc/passwd'], 126],
    ['126 a directory', ['--', '/tmp'], 126],
    ['127 not found', ['--', 'no-such-command'], 127],
    ['127 an empty name', ['--', ''], 127],
    ['125 no command', [], 125],
    ['125 an unknown option', ['--no-such-option', 'true'], 125],
    ['125 an unknown deployment', ['-d', 'msyql', 'true'], 125],
    ['125 a limit that is none', ['--cpu', '50', 'true'], 125],
    ['125 contradictory options', ['--audit', '--enforce', 'true'], 125],
    ['125 --require enforce against audit', ['--audit', '--require', 'enforce', 'true'], 125],
    ['122 success with a denial', ['--fail-on', 'deny', '--', 'bash', '-c', `(${DIAL}); true`], 122],
    ['122 success with a cycle', ['--fail-on', 'cycle', '--', 'bash', '-c', `(${DIAL}); true`], 122],
    ["the command's own failure before 122", ['--fail-on', 'deny', '--', 'bash', '-c', DIAL], 1],
    ['0 with --fail-on and nothing found', ['--fail-on', 'deny', '--', 'true'], 0],
    ['options end at the command', ['sh', '-c', 'test "$1" = --audit', 'sh', '--audit'], 0],
  ])('%s', (_, args, status) => {
    expect(place.run(['run', '-p', policy, ...args]).status).toBe(status);
  });

  test('a script without an interpreter line is run by sh, as execvp does', () => {
    const script = place.file('plain', 'exit 9\n');
    expect(place.run(['run', '-p', policy, '--', script]).status).toBe(9);
  });

  test('124 kills what ignores SIGTERM, and a daemon of its own session lives on', () => {
    const script = `setsid sleep 25 >/dev/null 2>&1 & trap '' TERM; echo $!; while :; do sleep 1; done`;
    const { status, stdout, took } = place.run([
      'run',
      '-p',
      policy,
      '--timeout',
      '0.5s',
      '--',
      'bash',
      '-c',
      script,
    ]);
    expect(status).toBe(124);
    expect(took).toBeLessThan(9000);
    const [pid = ''] = stdout.split('\n');
    process.kill(Number(pid));
  });
});

describe('bad input is one clear paragraph and 125', () => {
  const refused = (args: readonly string[], message: RegExp) => {
    const { status, stderr, stdout } = place.run(['run', ...args, '--', 'echo', 'started']);
    expect(stderr).toMatch(message);
    expect(stderr.startsWith('acyclic: ')).toBe(true);
    expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
  };
  test.each([
    [
      'an unknown key',
      'version: 1\nservices:\n  a: { hots: [b.c] }\n',
      /bad\.yaml:3:8: unknown key `hots`[\s\S]*did you mean `hosts`/,
    ],
    [
      'port 70000',
      'version: 1\nservices:\n  a: { hosts: [b.c], ports: [70000] }\n',
      /bad\.yaml:3:30: port 70000 does not exist/,
    ],
    [
      '999.1.1.1',
      'version: 1\nservices:\n  a: { addresses: [999.1.1.1] }\n',
      /bad\.yaml:3:20: `999\.1\.1\.1` is not an IP address/,
    ],
    ['a binary file', '\u0000\u0001\u0002ELF', /is not text/],
    ['an empty file', '', /is empty/],
    ['10 MB', `version: 1\n${'#'.repeat(10 << 20)}`, /over 4 MiB/],
    [
      'a service that does not exist',
      'version: 1\ndeployments:\n  a: { allow: [{ service: githb }] }\n',
      /no service `githb`/,
    ],
  ])('a policy with %s', (_, text, message) => {
    refused(['-p', place.file('bad.yaml', text)], message);
  });

  test('a policy that is not there, with what was meant', () => {
    refused(['-p', `${place.directory}/polcy.yaml`], /no such file.*did you mean .*policy\.yaml/);
  });
  test('an unknown deployment, with what was meant', () => {
    refused(['-p', policy, '-d', 'mysq'], /no deployment 'mysq'.*did you mean 'mysql'/);
  });
  test('a destination that is none', () => {
    refused(['-p', policy, '--allow', '10.0.0.1/8'], /10\.0\.0\.1\/8.*did you mean `10\.0\.0\.0\/8`/s);
  });
  test('a report that cannot be written', () => {
    refused(['-p', policy, '--report', '/proc/nowhere'], /cannot write the report/);
  });
});

test('loopback is loopback only by lo: by another link it is denied', () => {
  const link = (...args: string[]) => place.bare(['ip', ...args]);
  link('link', 'add', 'link0', 'type', 'veth', 'peer', 'name', 'link1');
  link('link', 'set', 'link1', 'up');
  link('addr', 'add', '10.99.0.1/24', 'dev', 'link0');
  link('link', 'set', 'link0', 'up');
  const program = `import socket
for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
    s = socket.socket(socket.AF_INET, kind); s.settimeout(2)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"link0")
    try: s.sendto(b"x", ("127.9.9.9", 9)) if kind == socket.SOCK_DGRAM else s.connect(("127.9.9.9", 9))
    except OSError as e: print(e.errno)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"x", ("127.9.9.9", 9)); print("sent")`;
  const { stdout, stderr } = place.run(['run', '--quiet', '-p', policy, '--', 'python3', '-c', program]);
  expect(stdout).toBe('1\n1\nsent\n');
  expect(stderr).toMatch(/reason +loopback-by-link/);
  link('link', 'del', 'link0');
});

describe('options add to the policy', () => {
  const dial = (address: string, ...options: string[]) =>
    place.run([
      'run',
      '--quiet',
      '-p',
      policy,
      ...options,
      '--',
      'bash',
      '-c',
      `exec 3<>/dev/tcp/${address}/9`,
    ]).stderr;

  test('--allow opens what no rule names, and not what is circular', () => {
    expect(dial('10.1.1.1')).toContain('Operation not permitted');
    expect(dial('10.1.1.1', '--allow', '10.0.0.0/8:9/tcp')).toContain('Network is unreachable');
    expect(dial('10.1.1.1', '--allow', '10.0.0.0/8:80')).toContain('Operation not permitted');
    expect(dial('192.0.2.7', '--allow', '192.0.2.7')).toContain('circular');
  });
  test('--deny closes loopback, --default allow opens the rest', () => {
    expect(dial('127.0.0.1')).toContain('Connection refused');
    expect(dial('127.0.0.1', '--deny', '127.0.0.1:9')).toMatch(/rule +option \(--deny 127\.0\.0\.1:9\)/);
    expect(dial('10.1.1.1', '--default', 'allow')).toContain('Network is unreachable');
  });
  test('a waiver allows its one service until the end of its day', () => {
    const waived = (until: string) =>
      place.file(
        'waived.yaml',
        STRICT.replace('    deny:', `    waivers: [{ service: migrations, until: ${until} }]\n    deny:`),
      );
    const through = (file: string, address: string) =>
      place.run(['run', '--quiet', '-p', file, '--', 'bash', '-c', `exec 3<>/dev/tcp/${address}/9`]).stderr;
    expect(through(waived('2099-12-31'), '198.51.100.1')).toContain('Network is unreachable');
    expect(through(waived('2099-12-31'), '192.0.2.1')).toContain('circular');
    expect(through(waived('2020-01-01'), '198.51.100.1')).toContain('circular');
  });
  test('on_deny gives the errno it names', () => {
    const file = place.file(
      'refuse.yaml',
      STRICT.replace('    deny:', '    on_deny: ECONNREFUSED\n    deny:'),
    );
    const { stderr } = place.run(['run', '-p', file, '--', 'bash', '-c', DIAL]);
    expect(stderr).toMatch(/saw +connect\(\) = ECONNREFUSED/);
    expect(stderr).toContain('bash: connect: Connection refused');
  });
  test('several deployments need one named', () => {
    const file = place.file('two.yaml', `${STRICT}  other: {}\n`);
    expect(place.run(['run', '-p', file, 'true']).stderr).toMatch(/2 deployments.*-d mysql, -d other/);
    expect(place.run(['run', '-p', file, '-d', 'mysql', 'true']).status).toBe(0);
  });
});
