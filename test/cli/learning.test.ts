import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/model/event.ts';
import type { RunSummary } from '../../src/model/summary.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { acyclic, remains } from './harness.ts';

/** A deploy as they are: several tools, by name and by address, an alias, a lookup alone, both families, UDP. */
const DEPLOY = `#!/bin/bash
set -e
curl -fsS http://tools.mirror.internal/ >/dev/null
curl -fsS https://apt.internal/ >/dev/null
curl -fsS6 http://apt.internal/ >/dev/null
getent hosts db-1.mysql.internal >/dev/null
python3 -c 'import socket; socket.create_connection(("db-1.mysql.internal", 3306)).close()'
python3 -c 'import urllib.request as u; u.urlopen("http://vault.internal/")' || true
exec 3<>/dev/tcp/10.86.0.60/7
python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.sendto(b"x", ("echo.internal", 7)); s.recv(9)'
rm -rf "$HOME/tools" && git clone -q https://git.mirror.internal/tools.git "$HOME/tools"
curl -fsS http://cdn.example/ >/dev/null
getent hosts v4.example >/dev/null
curl -fsS http://127.0.0.1:9/ 2>/dev/null || true
`;

let lab: Lab;
let script: string;
const file = (name: string) => path.join(lab.dir, name);
beforeAll(async () => {
  lab = await startLab();
  script = file('deploy.sh');
  await writeFile(script, DEPLOY, { mode: 0o755 });
});
afterAll(async () => {
  await lab.stop();
  expect(remains()).toEqual([]);
});

async function run(options: readonly string[], command: readonly string[]) {
  const report = file(`report-${options.length}-${command.length}.jsonl`);
  const argv = [acyclic, 'run', '--report', report, ...options, '--', ...command];
  const result = await lab.client.run(argv, { timeoutMs: 40_000 });
  const lines = readFileSync(report, 'utf8').trimEnd().split('\n');
  const events = lines.map((line) => JSON.parse(line) as AuditEvent);
  const summary = events.pop() as unknown as RunSummary;
  return { ...result, report, events, summary };
}

/** `acyclic policy …`: it needs neither the lab nor root. */
function policy(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(acyclic, ['policy', ...args], {
    encoding: 'utf8',
    cwd: lab.dir,
  });
  return { status, stdout, stderr };
}

describe('from watching to enforcing', () => {
  test('what is suggested from a run lets the same run pass, and denies one new destination', async () => {
    const watched = await run([], [script]);
    expect(watched, watched.stderr).toMatchObject({ code: 0 });
    expect(watched.stderr).toContain(`acyclic policy suggest --report ${watched.report}`);

    const suggested = policy('suggest', '--report', watched.report, '-d', 'mysql');
    expect(suggested).toMatchObject({ status: 0, stderr: '' });
    await writeFile(file('suggested.yaml'), suggested.stdout);
    expect(policy('check', 'suggested.yaml')).toMatchObject({ status: 0, stdout: 'nothing found\n' });
    for (const line of [
      '{ host: tools.mirror.internal, ports: [80/tcp] }',
      '{ host: apt.internal, ports: [80/tcp, 443/tcp] }',
      '{ host: db-1.mysql.internal, ports: [3306/tcp] }',
      '{ address: 10.86.0.60, ports: [7/tcp] }',
      '{ host: echo.internal, ports: [7/udp] }',
      '{ host: git.mirror.internal, ports: [443/tcp] }',
      '{ host: cdn.example, ports: [80/tcp] }',
      '{ host: v4.example, ports: [53/udp] }',
    ])
      expect(suggested.stdout).toContain(`- ${line} #`);
    expect(suggested.stdout).toContain('# curl from deploy.sh');

    const enforced = await run(['-p', file('suggested.yaml'), '--enforce', '--fail-on', 'deny'], [script]);
    expect(enforced, enforced.stderr).toMatchObject({ code: 0 });
    expect(enforced.summary).toMatchObject({ mode: 'enforce', denials: 0, would_deny: 0, lost: {} });

    for (const [what, command] of [
      ['another name', ['curl', '-sS', 'http://npm.mirror.internal/']],
      ['another port', ['curl', '-sS', 'https://tools.mirror.internal/']],
      ['another address', ['bash', '-c', 'exec 3<>/dev/tcp/10.86.0.40/443']],
      ['a name that was only looked up', ['curl', '-sS', 'http://v4.example/']],
    ] as const) {
      const fresh = await run(['-p', file('suggested.yaml'), '--enforce'], command);
      expect(fresh.code, what).not.toBe(0);
      expect(fresh.summary.denials, what).toBeGreaterThan(0);
    }
  });

  test('as a diff of the policy there is, which patch applies, without what is circular', async () => {
    const before = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], depends_on: [mysql] }
  mirror: { hosts: [apt.internal, "*.mirror.internal"] }
deployments:
  mysql:
    mode: audit
    allow:
      - { host: vault.internal } # credentials
`;
    await writeFile(file('acyclic.yaml'), before);
    const watched = await run(['-p', file('acyclic.yaml')], [script]);
    expect(watched.summary.cycles).toEqual([['mysql', 'github', 'mysql']]);
    const suggested = policy('suggest', '--report', watched.report, '-p', 'acyclic.yaml');
    expect(suggested.status).toBe(0);
    expect(suggested.stdout).toMatch(/^# {3}cdn\.example:80\/tcp .*circular.*mysql -> github -> mysql$/m);
    expect(suggested.stdout).toContain('+      - { service: mirror, ports: [80/tcp, 443/tcp] } #');
    const patched = spawnSync('patch', ['-p0'], { cwd: lab.dir, input: suggested.stdout, encoding: 'utf8' });
    expect(patched.status, patched.stdout + patched.stderr).toBe(0);
    expect(policy('check', '-p', 'acyclic.yaml').stdout).toBe('nothing found\n');
    expect(policy('suggest', '--report', watched.report, '-p', 'acyclic.yaml').stdout).toBe('');

    const mended = file('mended.sh');
    await writeFile(mended, DEPLOY.replace(/.*cdn\.example.*\n/, ''), { mode: 0o755 });
    const enforced = await run(['-p', file('acyclic.yaml'), '--enforce', '--fail-on', 'deny'], [mended]);
    expect(enforced, enforced.stderr).toMatchObject({ code: 0 });
  });

  test('ready tells what nobody decided on, until somebody did', async () => {
    await writeFile(
      file('audit.yaml'),
      'version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { mode: audit } }\n',
    );
    const curl = ['curl', '-fsS', 'http://tools.mirror.internal/'];
    const { report } = await run(['-p', file('audit.yaml'), '--label', 'n=1'], curl);
    const ready = (...args: string[]) =>
      policy('ready', '-d', 'mysql', '-p', 'audit.yaml', '--report', report, ...args);
    const undecided = ready('--runs', '1');
    expect(undecided.status).toBe(1);
    expect(undecided.stdout).toMatch(/nobody decided on\n +tools\.mirror\.internal:80\/tcp ×\d+ in 1 run\n/);
    await writeFile(
      file('audit.yaml'),
      'version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { mode: audit, allow: [{ host: tools.mirror.internal }] } }\n',
    );
    expect(ready('--runs', '1')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('ready to enforce'),
    });
    const few = ready('--runs', '2');
    expect(few).toMatchObject({ status: 1, stdout: expect.stringContaining('too few runs: 1 of 2') });
  });
});

describe('a staged policy', () => {
  test('has its word in every event and in the summary, and changes nothing', async () => {
    await writeFile(
      file('next.yaml'),
      'version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { allow: [{ host: apt.internal }] } }\n',
    );
    await writeFile(
      file('live.yaml'),
      'version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { allow: [{ host: tools.mirror.internal }], staged: next.yaml } }\n',
    );
    const calls = 'curl -fsS http://tools.mirror.internal/; curl -fsS http://apt.internal/; true';
    const { code, stdout, stderr, events, summary } = await run(
      ['-p', file('live.yaml')],
      ['bash', '-c', calls],
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'hello from tools.mirror.internal\n' });
    const words = events.map(({ destination, verdict, staged }) => [
      destination?.names[0],
      verdict,
      staged?.verdict,
      staged?.rule.kind,
    ]);
    expect(new Set(words.map(String))).toEqual(
      new Set(['tools.mirror.internal,allow,deny,default', 'apt.internal,deny,allow,allow']),
    );
    expect(summary.staged).toMatchObject({ differs: events.length });
    expect(summary.staged?.denied).toBe(words.filter(([name]) => name === 'tools.mirror.internal').length);
    expect(stderr).toMatch(
      /staged +policy [0-9a-f]{7} would decide \d+ calls differently: \d+ more denied, \d+ more allowed/,
    );
  });
});

describe('run --fail-on new', () => {
  test('fails on a destination no earlier run called, and on no other', async () => {
    await writeFile(
      file('open.yaml'),
      'version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { default: allow } }\n',
    );
    const curl = (host: string) => ['curl', '-fsS', `http://${host}/`];
    const earlier = await run(['-p', file('open.yaml')], curl('tools.mirror.internal'));
    const against = (host: string, ...more: string[]) =>
      run(['-p', file('open.yaml'), '--fail-on', 'new', '--baseline', earlier.report, ...more], curl(host));
    await writeFile(file('none.jsonl'), '');
    const none = [
      'run',
      '-p',
      file('open.yaml'),
      '--fail-on',
      'new',
      '--baseline',
      file('none.jsonl'),
      '--',
      'true',
    ];
    const first = await lab.client.run([acyclic, ...none]);
    expect(first).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('there is no earlier run of mysql'),
    });
    const same = await against('tools.mirror.internal');
    expect(same).toMatchObject({ code: 0, summary: { new_destinations: [] } });
    const fresh = await against('apt.internal', '--label', 'x=y');
    expect(fresh).toMatchObject({ code: 122, summary: { exit: { command: 0, acyclic: 122 } } });
    expect([...(fresh.summary.new_destinations ?? [])].sort()).toEqual([
      'apt.internal (dns)',
      'apt.internal:80/tcp',
    ]);
    expect(fresh.stderr).toMatch(/new +apt\.internal \(dns\)/);
  });

  test('looks back in the audit trail, and so do suggest, replay and ready', async () => {
    const open = file('open.yaml');
    await writeFile(
      open,
      'version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { default: allow } }\n',
    );
    const state = ['--state', file('trail')];
    const curl = (host: string) =>
      run(['-p', open, ...state, '--fail-on', 'new'], ['curl', '-fsS', `http://${host}/`]);
    const first = await curl('tools.mirror.internal');
    expect(first).toMatchObject({ code: 0, summary: { new_destinations: null } });
    expect(first.stderr).toContain('there is no earlier run of mysql');
    expect(await curl('tools.mirror.internal')).toMatchObject({ code: 0, summary: { new_destinations: [] } });
    const fresh = await curl('apt.internal');
    expect(fresh).toMatchObject({ code: 122, summary: { exit: { command: 0, acyclic: 122 } } });

    const bare = await lab.client.run([
      acyclic,
      'run',
      ...state,
      '--',
      'curl',
      '-fsS',
      'http://apt.internal/',
    ]);
    const next = /turn what was seen into a policy: acyclic policy (.*)/.exec(bare.stderr)?.[1]?.split(' ');
    const suggested = policy(...(next ?? []));
    expect(suggested).toMatchObject({ status: 0, stderr: '' });
    expect(suggested.stdout).toContain('host: apt.internal, ports: [80/tcp]');
    expect(suggested.stdout).not.toContain('tools.mirror.internal');
    const prefix = first.summary.run.slice(0, 22).toLowerCase();
    expect(policy('suggest', '--run', prefix, ...state, '-d', 'mysql').stdout).toContain(
      'tools.mirror.internal',
    );
    await writeFile(
      file('closed.yaml'),
      'version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { allow: [{ host: tools.mirror.internal, ports: [80/tcp] }] } }\n',
    );
    const replayed = policy('replay', 'closed.yaml', ...state, '--since', '1h', '-d', 'mysql');
    expect(replayed).toMatchObject({ status: 1, stdout: expect.stringContaining('apt.internal') });
    const ready = policy('ready', '-d', 'mysql', '-p', 'closed.yaml', ...state, '--runs', '3');
    expect(ready.stdout).toContain('3 runs in 14 days');
    expect(policy('suggest', '--run', '01AAAAAA', ...state)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('no record'),
    });
    expect(policy('replay', 'closed.yaml', '--state', file('nowhere'))).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('nothing is recorded'),
    });
  });
});
