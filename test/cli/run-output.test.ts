import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { byTime, openPlace, type Place, remains, STRICT } from './harness.ts';

let place: Place;
let policy: string;
beforeAll(() => {
  place = openPlace();
  policy = place.file('policy.yaml', STRICT);
});
afterAll(() => place.close());
afterEach(() => expect(remains()).toEqual([]));

const DIAL = 'exec 3<>/dev/tcp/192.0.2.7/443';

describe('on standard error', () => {
  test('it opens with deployment, mode, policy and run; every line is its own or the command’s', () => {
    const { stderr, stdout } = place.run(['run', '-p', policy, '--', 'echo', 'hello']);
    expect(stderr).toMatch(/^acyclic: guarding mysql · enforce · policy [0-9a-f]{7} · run [0-9A-Z]{26}\n/);
    for (const line of stderr.trimEnd().split('\n')) expect(line).toMatch(/^(acyclic: | {2})/);
    expect(stdout).toBe('hello\n');
  });

  test('a denied call says cycle, rule, process, errno and what to use instead', () => {
    const { stderr } = place.run(['run', '-p', policy, '--', 'bash', '-c', DIAL]);
    const [, pid] = /denied bash\[(\d+)\]/.exec(stderr) ?? [];
    expect(stderr).toContain(
      [
        `acyclic: denied bash[${pid}] → 192.0.2.7:443/tcp`,
        `  cycle    mysql → github → mysql          direct: named in argv of bash[${pid}]`,
        '  rule     circular (policy.yaml:4, service github)   owner @db-platform',
        `  process  bash[${pid}]: bash -c '${DIAL}'`,
        '  saw      connect() = EPERM',
        '  instead  use mirror.internal/tools\n',
      ].join('\n'),
    );
  });

  test('a service reached through another is transient, with the whole path', () => {
    const { stderr } = place.run([
      'run',
      '-p',
      policy,
      '--',
      'bash',
      '-c',
      'exec 3<>/dev/tcp/198.51.100.9/80',
    ]);
    expect(stderr).toMatch(/cycle +mysql → migrations → github → mysql +transient/);
  });

  // Retried: on a kernel that does not preempt itself, a loaded machine can lose the race (docs/decisions).
  test.each([
    ['bash', ['bash', '-c', DIAL], 'bash: connect:'],
    ['curl by address', ['curl', '-sS', 'http://192.0.2.7/'], 'curl: ('],
    ['curl by name', ['curl', '-sS', 'http://github.com/'], 'curl: ('],
  ])('the reason stands before the error of %s', { retry: 2 }, (_, command, own) => {
    const { stderr } = place.run(['run', '-p', policy, '--', ...command]);
    expect(stderr.indexOf('acyclic: denied')).toBeGreaterThan(0);
    expect(stderr.indexOf(own)).toBeGreaterThan(stderr.indexOf('acyclic: denied'));
  });

  test('a retry loop is one message and a count', () => {
    const { stderr } = place.run([
      'run',
      '-p',
      policy,
      '--',
      'bash',
      '-c',
      `for i in {1..50}; do (${DIAL}); done 2>/dev/null`,
    ]);
    expect(stderr.match(/acyclic: denied/g)).toHaveLength(1);
    expect(stderr).toMatch(/50 calls to 1 destination · 50 denied/);
    expect(stderr).toMatch(/denied +bash → 192\.0\.2\.7:443\/tcp ×50/);
  });

  test('--quiet leaves denials and errors', () => {
    expect(place.run(['run', '--quiet', '-p', policy, '--', 'true']).stderr).toBe('');
    const { stderr } = place.run(['run', '--quiet', '-p', policy, '--', 'bash', '-c', DIAL]);
    expect(stderr.match(/acyclic: .*/g)).toEqual([expect.stringMatching(/^acyclic: denied bash/)]);
  });

  test('--json makes each line of ours an object', () => {
    const { stderr } = place.run([
      'run',
      '--json',
      '-p',
      policy,
      '--',
      'bash',
      '-c',
      `(${DIAL}) 2>/dev/null`,
    ]);
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ level }) => level)).toEqual(['info', 'denial', 'info']);
    expect(lines[0]).toMatchObject({ kind: 'opening', mode: 'enforce', deployment: 'mysql' });
    expect(lines[1]).toMatchObject({ kind: 'connect', verdict: 'deny' });
    expect(lines[2]).toMatchObject({ kind: 'summary', denials: 1 });
  });

  test('terminal escapes in an argument are made harmless', () => {
    const { stderr } = place.run(['run', '-p', policy, '--', 'bash', '-c', DIAL, '\u001b[2Jevil\u0007']);
    const ours = stderr.split('\n').filter((line) => /^(acyclic: | {2})/.test(line));
    expect(ours.join('\n')).toContain('\\x1b[2Jevil\\x07');
    expect(ours.join('\n')).not.toContain('\u001b[2J');
  });

  test('without a policy it observes, and says what was seen and what to do next', () => {
    const { stderr, status } = place.run(['run', '--', 'bash', '-c', `${DIAL}`]);
    expect(stderr).toMatch(/^acyclic: observing · audit · no policy · run /);
    expect(stderr).toContain('bash: connect: Network is unreachable');
    expect(stderr).toMatch(/seen +192\.0\.2\.7:443\/tcp/);
    expect(stderr).toMatch(
      /next +turn what was seen into a policy: acyclic policy suggest --run 01[0-9A-Z]{24}\n/,
    );
    expect(status).toBe(1);
  });

  test('--audit denies nothing and counts what would be', () => {
    const { stderr } = place.run(['run', '--audit', '-p', policy, '--', 'bash', '-c', DIAL]);
    expect(stderr).toMatch(/^acyclic: guarding mysql · audit/);
    expect(stderr).toContain('Network is unreachable');
    expect(stderr).toMatch(/0 denied · 1 would be denied/);
    expect(stderr).not.toContain('acyclic: denied');
  });
});

describe('--report', () => {
  test('holds every event with every field, and the summary last', () => {
    const script = place.file(
      'deploy.sh',
      `#!/bin/bash\n(${DIAL})\ngetent hosts x.telemetry.example\nexec 4<>/dev/udp/127.0.0.1/9\n`,
    );
    place.run(['run', '-p', policy, '--label', 'team=db', '--report', 'report.jsonl', '--', script]);
    const events = place.report('report.jsonl');
    const summary = events.pop();
    for (const event of events) {
      expect(Object.keys(event).sort()).toEqual(
        [
          ...[
            'v',
            'id',
            'time',
            'host',
            'run',
            'deployment',
            'policy',
            'count',
            'kind',
            'destination',
            'process',
          ],
          ...['verdict', 'rule', 'dependency', 'outcome', 'hook'],
        ].sort(),
      );
      expect(event.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    }
    const [connect] = events;
    expect(connect).toMatchObject({
      v: 1,
      deployment: 'mysql',
      count: 1,
      kind: 'connect',
      destination: { address: '192.0.2.7', port: 443, protocol: 'tcp', names: [], service: 'github' },
      process: {
        uid: 0,
        comm: 'deploy.sh',
        exe: '/bin/bash',
        argv: ['/bin/bash', script],
        ancestry: [{ comm: 'deploy.sh', argv: ['/bin/bash', script] }],
      },
      verdict: 'deny',
      rule: { source: 'policy.yaml:4', kind: 'circular', owner: '@db-platform' },
      dependency: { path: ['mysql', 'github', 'mysql'] },
      outcome: { errno: 'EPERM' },
      hook: 'cgroup/connect4',
    });
    const lookup = events.find(({ kind }) => kind === 'dns');
    expect(lookup).toMatchObject({
      destination: { address: null, names: ['x.telemetry.example'] },
      process: { comm: 'getent', argv: ['getent', 'hosts', 'x.telemetry.example'] },
      verdict: 'deny',
      rule: { kind: 'deny', reason: 'never needed', owner: '@sre' },
      hook: 'dns',
    });
    expect(events.find(({ verdict }) => verdict === 'allow')).toMatchObject({
      destination: { address: '127.0.0.1', port: 9, protocol: 'udp' },
    });
    expect(summary).toMatchObject({
      kind: 'summary',
      labels: { team: 'db' },
      calls: events.length,
      cycles: [['mysql', 'github', 'mysql']],
      lost: {},
      exit: { command: 0, acyclic: 0 },
    });
  });

  test('is never written through a symbolic link', () => {
    place.file('target', 'precious');
    place.bare(['ln', '-s', 'target', 'link.jsonl']);
    expect(place.run(['run', '-p', policy, '--report', 'link.jsonl', '--', 'true']).status).toBe(125);
    expect(place.bare(['cat', 'target']).stdout).toBe('precious');
  });

  test('repeated sends of a flow are one record and a count, none lost', () => {
    const program = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(10): s.sendto(b"x", ("127.0.0.1", 9999))
for i in range(3): s.sendto(b"x", ("127.0.0.2", 9999))`;
    place.run(['run', '-p', policy, '--report', 'sends.jsonl', '--', 'python3', '-c', program]);
    const sends = place.report('sends.jsonl').filter(({ kind }) => kind === 'send');
    expect(byTime(sends).map(({ count }) => count)).toEqual([1, 9, 1, 2]);
  });
});
