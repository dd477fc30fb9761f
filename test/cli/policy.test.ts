import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recorded } from '../recorded.ts';
import { acyclic, STRICT } from './harness.ts';

const directory = mkdtempSync(join(tmpdir(), 'acyclic-policy-'));
afterAll(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** `acyclic policy ARGS` as nobody: none of it needs root. */
function policy(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(acyclic, ['policy', ...args], {
    cwd: directory,
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

/** It could not be done: one paragraph of ours on standard error, and nothing else. */
function refusal(...args: string[]): string {
  const { status, stdout, stderr } = policy(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toMatch(/^acyclic: /);
  return stderr;
}

beforeAll(() => {
  write('strict.yaml', STRICT);
  const events = [
    recorded({ kind: 'dns', names: ['a.example'], deployment: 'mysql' }),
    recorded({ address: '203.0.113.9', names: ['a.example'], deployment: 'mysql', count: 3 }),
  ];
  write('calls.jsonl', events.map((event) => `${JSON.stringify(event)}\n`).join(''));
});

describe('every policy command', () => {
  const names = [
    'init',
    'check',
    'show',
    'explain',
    'suggest',
    'replay',
    'diff',
    'ready',
    'apply',
    'history',
    'rollback',
  ];
  test.each(names)('%s has examples in its help', (name) => {
    const { status, stdout } = policy(name, '--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(/Exit status[\s\S]*Examples:\n {2}.*acyclic policy/);
  });
  test.each(names)('%s guesses what a mistyped option was', (name) => {
    expect(refusal(name, '--jsno-bogus')).toContain(`try: acyclic policy ${name} --help`);
  });
  test('is one of these; others are named', () => {
    expect(refusal()).toBe('acyclic: no command given to acyclic policy; try: acyclic policy --help\n');
    expect(refusal('chekc')).toContain('did you mean check?');
  });
  test.each([
    ['show', ['show']],
    ['explain', ['explain', 'a.example']],
    ['ready', ['ready', '-d', 'mysql', '--report', 'calls.jsonl']],
  ])('%s tells a policy that is not there, or lacks the deployment, with what was meant', (_, args) => {
    expect(refusal(...args, '-p', 'stirct.yaml')).toMatch(/no such file; did you mean .*strict\.yaml/);
    const name = args[0] === 'ready' ? [] : ['-d', 'msyql'];
    if (name.length > 0)
      expect(refusal(...args, ...name, '-p', 'strict.yaml')).toContain("did you mean 'mysql'?");
  });
});

describe('policy check', () => {
  test('exits 1 with every mistake, errors before warnings, each with its place', () => {
    write('bad.yaml', 'version: 1\ndeployments:\n  none: {}\nservices:\n  a: { hots: [] }\n');
    const { status, stdout } = policy('check', '-p', 'bad.yaml');
    expect(status).toBe(1);
    expect(stdout).toBe(`bad.yaml:5:8: unknown key \`hots\` in service \`a\`
  > hots
  did you mean \`hosts\`?
bad.yaml:3:3: warning: deployment \`none\` deploys no service: there is none of its name, so nothing is circular to it
  > none
1 mistake, 1 warning
`);
    const { problems } = JSON.parse(policy('check', 'bad.yaml', '--format', 'json').stdout);
    expect(problems.map(({ code, line }: { code: string; line: number }) => [code, line])).toEqual([
      ['unknown-key', 5],
      ['nothing-deployed', 3],
    ]);
    expect(policy('check', 'bad.yaml', '--json').stdout).toContain('"v":1');
  });
  test('exits 0 where there is nothing to say, and 2 where there is nothing to read', () => {
    expect(policy('check', 'strict.yaml')).toEqual({ status: 0, stdout: 'nothing found\n', stderr: '' });
    expect(refusal('check', 'gone.yaml')).toContain('there is no such file');
    expect(refusal('check', 'strict.yaml', '-p', 'strict.yaml')).toContain('given twice');
    expect(refusal('check', 'strict.yaml', '--format', 'xml')).toContain(
      'Allowed choices are text, github, sarif, json',
    );
  });

  test('a staged policy that does not load is a mistake where it is named, and so are its own', () => {
    const staging = (path: string) =>
      write(
        'staging.yaml',
        `version: 1\nservices: { mysql: {} }\ndeployments:\n  mysql: { staged: ${path} }\n`,
      );
    const next = (text: string) => write('sub/next.yaml', `version: 1\n${text}`);
    next('services: { mysql: {} }\ndeployments: { mysql: { staged: next.yaml } }\n');
    staging('sub/next.yaml');
    expect(policy('check', 'staging.yaml').stdout).toBe('nothing found\n');
    next('deployments: { mysql: { alow: [] } }\n');
    expect(policy('check', 'staging.yaml').stdout).toMatch(
      /sub\/next\.yaml:2:25: unknown key `alow`[\s\S]*staging\.yaml:4:20: the staged policy `sub\/next\.yaml` does not load/,
    );
    next('services: { web: {} }\ndeployments: { web: {} }\n');
    expect(policy('check', 'staging.yaml').stdout).toContain('has no deployment `mysql`');
    staging('gone.yaml');
    expect(policy('check', 'staging.yaml').stdout).toMatch(
      /staging\.yaml:4:20: .*gone\.yaml: there is no such file/,
    );
    expect(refusal('show', '-p', 'staging.yaml')).toContain('staging.yaml:4:20');
  });
});

describe('policy explain', () => {
  test('tells what a DEST cannot be, and what was meant', () => {
    const explain = (dest: string, ...more: string[]) =>
      refusal('explain', dest, '-p', 'strict.yaml', ...more);
    expect(explain('https://a.example/x')).toContain('did you mean `a.example`?');
    expect(explain('service:githb')).toContain('did you mean `service:github`?');
    expect(explain('10.0.0.1/8')).toContain('did you mean `10.0.0.0/8`?');
    expect(explain('a.example', '--address', '10.0.0.0/8')).toContain('--address cannot be');
    expect(explain('10.0.0.1', '--address', '10.0.0.2')).toContain('--address is for a host');
    expect(explain('10.0.0.1', '--name', 'a b')).toContain('--name cannot be');
  });
  test('as JSON is the decision and every candidate', () => {
    const { stdout } = policy('explain', '192.0.2.7:443/tcp', '-p', 'strict.yaml', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      v: 1,
      deployment: 'mysql',
      parts: [
        {
          about: '192.0.2.7',
          calls: [
            {
              ports: '443/tcp',
              answer: 'deny',
              cycle: ['mysql', 'github', 'mysql'],
              tiers: [
                {},
                {},
                { name: 'circular', decides: true, identities: [{ identity: '192.0.2.7' }] },
                {},
              ],
            },
          ],
        },
      ],
    });
  });
});

describe('policy show', () => {
  test('has the tiers in order, and a rule of a service as the hosts it is about', () => {
    const { stdout, status } = policy('show', '-p', 'strict.yaml');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /1 floor: nothing\n2 circular\n[\s\S]*3 rules\n {2}deny +\*\.telemetry\.example\n[\s\S]*4 default: deny/,
    );
    const shown = JSON.parse(policy('show', '-p', 'strict.yaml', '--json').stdout);
    expect(shown.tiers.map(({ name }: { name: string }) => name)).toEqual([
      'floor',
      'option',
      'circular',
      'rules',
    ]);
  });
  test('of several deployments wants one named', () => {
    write('two.yaml', `${STRICT}  other: {}\n`);
    expect(refusal('show', '-p', 'two.yaml')).toMatch(/name one: -d mysql, -d other/);
  });
});

describe('policy diff', () => {
  test('exits 0 for the same meaning, 1 for another, 2 for what cannot be read', () => {
    write('same.yaml', `# a comment\n${STRICT}`);
    write('other.yaml', STRICT.replace('no-telemetry', 'no-stats'));
    expect(policy('diff', 'strict.yaml', 'same.yaml')).toEqual({
      status: 0,
      stdout: 'no difference in meaning\n',
      stderr: '',
    });
    const { status, stdout } = policy('diff', 'strict.yaml', 'other.yaml');
    expect(status).toBe(1);
    expect(stdout).toBe(`deployment mysql
  as before   *.telemetry.example on every port
    was deny no-telemetry (strict.yaml:13)   owner @sre
    is  deny no-stats (other.yaml:13)   owner @sre
`);
    expect(JSON.parse(policy('diff', 'strict.yaml', 'other.yaml', '--json').stdout)).toMatchObject({
      deployments: [{ name: 'mysql', calls: [{ destination: '*.telemetry.example', effect: 'rule' }] }],
    });
    expect(refusal('diff', 'strict.yaml', 'gone.yaml')).toContain('gone.yaml');
  });
});

describe('what reads the past', () => {
  test('replay is a gate: 1 if an allowed call would be denied, 0 if not', () => {
    const denied = policy('replay', 'strict.yaml', '--report', 'calls.jsonl');
    expect(denied.status).toBe(1);
    expect(denied.stdout).toMatch(
      /would be denied: 4 calls\n {2}a\.example:443\/tcp ×4 {3}mysql\n {4}was {2}allow by default\n/,
    );
    write('open.yaml', STRICT.replace('    deny:', '    default: allow\n    deny:'));
    expect(policy('replay', 'open.yaml', '--report', 'calls.jsonl')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('on 4 calls of 1 run: 4 decided alike'),
    });
    expect(
      JSON.parse(policy('replay', 'strict.yaml', '--report', 'calls.jsonl', '--json').stdout),
    ).toMatchObject({
      calls: 4,
      differences: [{ destination: 'a.example:443/tcp', breaking: true, count: 4 }],
    });
    write('web.yaml', 'version: 1\nservices: { web: {} }\ndeployments: { web: {} }\n');
    const gone = policy('replay', 'web.yaml', '--report', 'calls.jsonl');
    expect(gone).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('deployment mysql is not in it: 4 calls'),
    });
  });

  test('--since leaves out what is older', () => {
    const since = (text: string) =>
      policy('replay', 'strict.yaml', '--report', 'calls.jsonl', '--since', text);
    expect(since('2026-11-24')).toMatchObject({ status: 0, stdout: expect.stringContaining('on 0 calls') });
    expect(since('2026-11-23').stdout).toContain('on 4 calls');
    expect(since('yesterday').status).toBe(0);
    expect(refusal('replay', 'strict.yaml', '--report', 'calls.jsonl', '--since', 'tomorrow')).toContain(
      '--since cannot be',
    );
  });

  test('tells a report that is none, with file and line', () => {
    const good = readFileSync(join(directory, 'calls.jsonl'), 'utf8');
    const replay = (text: string) => refusal('replay', 'strict.yaml', '--report', write('odd.jsonl', text));
    expect(replay(`${good}{"v":\n`)).toMatch(
      /odd\.jsonl:3: not JSON: .*; give a file that `acyclic run --report` wrote/,
    );
    expect(replay(`${good.replace('"tcp"', '6')}`)).toMatch(
      /odd\.jsonl:2: not an event of a run at `destination\.protocol`/,
    );
    expect(replay(`${'x'.repeat(5 << 20)}\n`)).toContain('a line of over 4 MiB');
    expect(refusal('replay', 'strict.yaml', '--report', 'gone.jsonl')).toContain('there is no such file');
    expect(refusal('replay', 'strict.yaml', '--report', '.')).toContain('it is a directory');
  });

  test('passes over a last line that was cut short, and says so', () => {
    const good = readFileSync(join(directory, 'calls.jsonl'), 'utf8');
    const cut = policy('replay', 'strict.yaml', '--report', write('cut.jsonl', `${good}{"v":1,"i`));
    expect(cut).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('cut.jsonl:3: the last line is cut short'),
    });
  });

  test('says that there is no store, and what to give', () => {
    expect(refusal('replay', 'strict.yaml', '--since', '7d', '--state', 'nowhere')).toContain(
      'the first `acyclic run` begins the trail; name another directory with --state',
    );
    expect(refusal('suggest', '--run', '01JRUN', '--state', 'nowhere')).toContain('nothing is recorded in');
    expect(refusal('suggest')).toContain('there is nothing to learn from');
  });

  test('suggest takes the deployment of the record, and wants one named where there are several', () => {
    const { status, stdout } = policy('suggest', '--report', 'calls.jsonl');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /deployments:\n {2}mysql:\n[\s\S]*- \{ host: a\.example, ports: \[443\/tcp\] \} # 3 calls\n$/,
    );
    const other = `${JSON.stringify(recorded({ deployment: 'web' }))}\n`;
    write('two.jsonl', readFileSync(join(directory, 'calls.jsonl'), 'utf8') + other);
    expect(refusal('suggest', '--report', 'two.jsonl')).toMatch(/name one: -d mysql, -d web/);
    expect(policy('suggest', '--report', 'two.jsonl', '-d', 'web').stdout).not.toContain('a.example');
    expect(refusal('suggest', '--report', 'two.jsonl', '-d', 'My SQL')).toContain('did you mean `my-sql`?');
    expect(JSON.parse(policy('suggest', '--report', 'calls.jsonl', '--json').stdout)).toMatchObject({
      v: 1,
      deployment: 'mysql',
      calls: 4,
      rules: [{ about: 'host', text: 'a.example', calls: 3, callers: ['curl'] }],
    });
  });

  test('suggest adds a deployment the policy does not have', () => {
    const { stdout } = policy('suggest', '--report', 'calls.jsonl', '-p', 'strict.yaml', '-d', 'mysql2');
    expect(stdout).toBe('');
    const web = `${JSON.stringify(recorded({ address: '203.0.113.9', names: ['w.example'], deployment: 'web' }))}\n`;
    write('web.jsonl', web);
    const added = policy('suggest', '--report', 'web.jsonl', '-p', 'strict.yaml');
    expect(added.stdout).toMatch(
      /^\+ {2}web:\n\+ {4}allow:\n\+ {6}# curl\n\+ {6}- \{ host: w\.example, ports: \[443\/tcp\] \} # 1 call$/m,
    );
  });
});

describe('policy init', () => {
  beforeAll(() => {
    write('root/etc/hostname', 'db-7\n');
    write('root/etc/resolv.conf', 'nameserver 10.0.0.2\n');
    write('root/etc/apt/sources.list.d/debian.sources', 'Types: deb\nURIs: http://apt.internal/debian\n');
    write('root/etc/chrony/chrony.conf', 'server ntp.internal iburst\n');
    write('root/etc/rsyslog.d/90.conf', '*.* @@logs.internal:6514\n');
    write('root/etc/cloud/cloud.cfg', '');
  });
  test('writes what the host is set up to call, with where that was found, and it loads', () => {
    const { status, stdout } = policy('init', '-d', 'mysql', '--root', 'root');
    expect(status).toBe(0);
    for (const line of [
      '# A first policy for db-7, written by',
      '- 10.0.0.2 # /etc/resolv.conf:1',
      '- apt.internal # /etc/apt/sources.list.d/debian.sources:2',
      '- ntp.internal # /etc/chrony/chrony.conf:1',
      '- logs.internal # /etc/rsyslog.d/90.conf:1',
      'themselves: /etc/cloud/cloud.cfg.',
      '- service: cloud-metadata',
    ])
      expect(stdout).toContain(line);
    expect(JSON.parse(policy('init', '-d', 'mysql', '--root', 'root', '--json').stdout)).toMatchObject({
      text: stdout,
      host: 'db-7',
      facts: expect.arrayContaining([expect.objectContaining({ use: 'time', host: 'ntp.internal' })]),
    });
    write('init.yaml', stdout);
    expect(policy('check', 'init.yaml').stdout).toBe('nothing found\n');
  });
  test('knows systemd-resolved, whose servers are in a file of its own', () => {
    write('stub/etc/resolv.conf', 'nameserver 127.0.0.53\n');
    expect(policy('init', '--root', 'stub').stdout).toContain(
      'answered on this host itself (/etc/resolv.conf)',
    );
    write('stub/run/systemd/resolve/resolv.conf', 'nameserver 10.0.0.9\n');
    expect(policy('init', '--root', 'stub').stdout).toContain(
      '- 10.0.0.9 # /run/systemd/resolve/resolv.conf:1',
    );
  });
  test('of this host loads too', () => {
    write('here.yaml', policy('init').stdout);
    expect(policy('check', 'here.yaml').stdout).toBe('nothing found\n');
  });
  test('never writes over a file, nor through a link', () => {
    const written = policy('init', '--root', 'root', '--output', 'new.yaml');
    expect(written).toEqual({ status: 0, stdout: '', stderr: 'acyclic: wrote new.yaml\n' });
    const before = readFileSync(join(directory, 'new.yaml'), 'utf8');
    expect(refusal('init', '--output', 'new.yaml')).toContain('there is such a file; name a new file');
    symlinkSync('nowhere.yaml', join(directory, 'link.yaml'));
    expect(refusal('init', '--output', 'link.yaml')).toContain('there is such a file');
    expect(readFileSync(join(directory, 'new.yaml'), 'utf8')).toBe(before);
    expect(refusal('init', '-d', 'cloud-metadata')).toContain('call the deployment something else');
  });
});
