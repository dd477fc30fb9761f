import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/model/event.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { acyclic, openPlace, type Place, remains } from './harness.ts';

/** Hosts at addresses of their own, so that what is decided of one is not mixed with another's. */
const HOSTS = [
  'github.com',
  'api.github.com',
  'tools.mirror.internal',
  'migrations.internal',
  'vault.internal',
  'db-1.mysql.internal',
  'echo.internal',
];
const ADDRESSES = ['192.0.2.99', '203.0.113.53'];
const PORTS = [80, 443, 8080];

/** A small generator, so that a failure can be had again. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A policy about these hosts, out of every kind of rule there is for names. */
function somePolicy(seed: number): string {
  const below = numbers(seed);
  const pick = <T>(all: readonly T[]): T => all[below(all.length)] as T;
  const patterns = [...HOSTS, '*.github.com', '*.internal', '*.mirror.internal', '*'];
  const ports = () => pick(['', '', ', ports: [443]', ', ports: [80/tcp, 8000-9000]', ', ports: [53/udp]']);
  const rule = () =>
    below(4) === 0 ? `{ address: ${pick(ADDRESSES)}${ports()} }` : `{ host: "${pick(patterns)}"${ports()} }`;
  const rules = () => Array.from({ length: below(4) }, rule).join(', ');
  const needs = () => pick(['', ', depends_on: [mysql]', ', depends_on: [github]']);
  return `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], depends_on: [mysql] }
  migrations: { hosts: [migrations.internal]${needs()} }
  mirror: { hosts: ["*.mirror.internal"], ports: [${pick(['80', '443', '1-65535/tcp'])}]${needs()} }
floor: { deny: [${below(3) === 0 ? rule() : ''}] }
deployments:
  mysql:
    mode: ${pick(['enforce', 'enforce', 'audit'])}
    default: ${pick(['allow', 'deny'])}
    circular: ${pick(['deny', 'deny', 'off'])}
    allow: [{ service: mirror }, ${rules()}]
    audit: [${rules()}]
    deny: [${rules()}]
    waivers: [${below(3) === 0 ? '{ service: github, until: 2099-01-01 }' : ''}]
`;
}

const DEPLOY = `#!/bin/bash
call() { curl -sS -o /dev/null -m 3 --no-keepalive "$1" & }
${[...HOSTS, ...ADDRESSES].flatMap((host) => PORTS.map((port) => `call ${port === 443 ? 'https' : 'http'}://${host}:${port}/`)).join('\n')}
wait
`;

interface LintedHost {
  readonly host: string;
  readonly port: number | null;
  readonly verdict: string;
  readonly line: number;
  readonly service: string | null;
}

describe('what lint says is what a run does', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startLab();
    await writeFile(path.join(lab.dir, 'deploy.sh'), DEPLOY, { mode: 0o755 });
  });
  afterAll(async () => {
    await lab.stop();
    expect(remains()).toEqual([]);
  });

  /** What became of the calls of a host and port: of the lookup, where that was as far as they came. */
  function verdictOf(events: readonly AuditEvent[], host: string, port: number): string {
    const about = events.filter(
      ({ destination: to }) => to?.address === host || (to?.names ?? []).includes(host),
    );
    const lookup = about.find(({ kind, verdict }) => kind === 'dns' && verdict === 'deny');
    // A resolver looks at routes with UDP: that is no call.
    const calls = about.filter(
      ({ kind, destination: to }) => kind === 'connect' && to?.port === port && to.protocol === 'tcp',
    );
    return lookup?.verdict ?? calls[0]?.verdict ?? `no call of ${host}:${port}`;
  }

  test.each(Array.from({ length: 14 }, (_, i) => [i + 1]))('policy %i', async (seed) => {
    const policy = `policy-${seed}.yaml`;
    await writeFile(path.join(lab.dir, policy), somePolicy(seed));
    const run = (args: readonly string[]) =>
      lab.client.run([acyclic, ...args], { cwd: lab.dir, timeoutMs: 30_000 });
    const linted = await run(['lint', './deploy.sh', '-p', policy, '--format', 'json']);
    expect(linted.stderr).toBe('');
    const { hosts } = JSON.parse(linted.stdout) as { hosts: LintedHost[] };
    expect(hosts.length).toBe((HOSTS.length + ADDRESSES.length) * PORTS.length);
    expect(linted.code).toBe(hosts.some(({ verdict }) => verdict !== 'allow') ? 1 : 0);

    await run(['run', '--quiet', '-p', policy, '--report', 'report.jsonl', '--', './deploy.sh']);
    const events: AuditEvent[] = (await readFile(path.join(lab.dir, 'report.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const told = hosts.map(({ host, port, verdict }) => `${host}:${port} ${verdict}`);
    const seen = hosts.map(({ host, port }) => `${host}:${port} ${verdictOf(events, host, port ?? 0)}`);
    expect(told).toEqual(seen);
    const denied = events.filter(({ verdict, destination }) => verdict === 'deny' && destination?.service);
    for (const { dependency } of denied)
      if (dependency?.kind === 'direct') expect(dependency.evidence).toMatch(/^deploy\.sh:\d+$/);
  });
});

describe('acyclic lint', () => {
  let place: Place;
  beforeAll(() => {
    place = openPlace();
    place.file(
      'policy.yaml',
      `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"], owner: "@db" }
  github: { hosts: [github.com], addresses: [192.0.2.0/24], depends_on: [mysql], instead: use the mirror }
  mirror: { hosts: ["*.mirror.internal"] }
deployments:
  mysql: { allow: [{ service: mirror }], audit: [{ host: "*.pkg.example" }] }
  other: { deploys: [mirror], default: allow }
`,
    );
    place.file('lib.sh', '# https://github.com/\ncurl https://github.com/b\n');
    place.file(
      'deploy.sh',
      `#!/bin/bash
. ./lib.sh
curl https://tools.mirror.internal/x
curl https://github.com/a
curl http://192.0.2.7:8080/
pip install --index-url https://x.pkg.example/simple tool
ping "$1"
psql "host=db-1.mysql.internal dbname=x"
curl http://localhost:9000/
curl "https://$ORG.mirror.internal/"
tool sub
`,
    );
    place.file('clean.sh', 'curl https://tools.mirror.internal/x\n');
  });
  afterAll(() => place.close());

  test('says what would be denied and why, then the others, then what it cannot see', () => {
    const { status, stdout } = place.run(['lint', '-p', 'policy.yaml', '-d', 'mysql', './deploy.sh']);
    expect(stdout).toBe(`deploy.sh:4: github.com:443/tcp would be denied
  also at  lib.sh:2
  cycle    mysql → github → mysql
  rule     circular (policy.yaml:4, service github)   owner @db
  instead  use the mirror
deploy.sh:5: 192.0.2.7:8080/tcp would be denied
  cycle    mysql → github → mysql
  rule     circular (policy.yaml:4, service github)   owner @db
  instead  use the mirror
deploy.sh:6: x.pkg.example:443/tcp would be marked
  rule     audit (policy.yaml:7)
deploy.sh:8: db-1.mysql.internal would be denied
  rule     default (policy.yaml:7)
  reason   no rule names it
allowed:
  deploy.sh:3   tools.mirror.internal:443/tcp  mirror  allow (policy.yaml:7, service mirror)
  deploy.sh:9   localhost:9000/tcp             —       default
  deploy.sh:10  *.mirror.internal:443/tcp      mirror  allow (policy.yaml:7, service mirror)
not seen by reading:
  deploy.sh:7: the host that \`ping "$1"\` calls comes from outside the script
  deploy.sh:10: the host of \`https://….mirror.internal\` comes from outside the script
  what these programs call by themselves: curl, pip, ping, psql, tool
  aliases and addresses of names, which a run learns when it looks them up
4 would be denied, 3 allowed; 2 files read, policy ${/policy (\w{7})/.exec(stdout)?.[1]}, deployment mysql
`);
    expect(status).toBe(1);
  });

  test('a clean script is 0, a mistake is 2 and says what to do', () => {
    const of = (...args: string[]) => {
      const { status, stderr } = place.run(['lint', ...args]);
      return [status, stderr.trimEnd()];
    };
    expect(of('-p', 'policy.yaml', '-d', 'mysql', 'clean.sh')).toEqual([0, '']);
    expect(of('-p', 'policy.yaml', '-d', 'other', './deploy.sh')).toEqual([0, '']);
    expect(of('deploy.sh')).toEqual([0, '']);
    expect(of('-p', 'policy.yaml', 'deploy.sh')).toEqual([
      2,
      'acyclic: the policy has 2 deployments, and none was named; name one: -d mysql, -d other',
    ]);
    expect(of('-p', 'policy.yaml', '-d', 'mysq', 'deploy.sh')).toEqual([
      2,
      "acyclic: the policy has no deployment 'mysq'; did you mean 'mysql'?",
    ]);
    expect(of('gone.sh')).toEqual([
      2,
      'acyclic: cannot read the script gone.sh: there is no such file; name a script that is there, a text of at most 1 MiB',
    ]);
    for (const [name, why] of [
      ['/bin/ls', 'it is not text'],
      ['.', 'permission denied, or no file'],
      ['/proc/self/status', 'permission denied, or no file'],
    ])
      expect(of(name ?? '')).toEqual([2, expect.stringContaining(`${name}: ${why}`)]);
    expect(of('-p', 'gone.yaml', 'deploy.sh')[0]).toBe(2);
    expect(of('-d', 'mysql', 'deploy.sh')).toEqual([2, expect.stringContaining('there is no policy')]);
    expect(of()).toEqual([2, "acyclic: missing required argument 'script'; try: acyclic lint --help"]);
    expect(of('--format', 'xml', 'deploy.sh')[0]).toBe(2);
  });

  test('as annotations for GitHub, what is said in text made harmless', () => {
    place.file('odd%,:name.sh', 'curl https://github.com/\n');
    const { stdout } = place.run([
      'lint',
      '-p',
      'policy.yaml',
      '-d',
      'mysql',
      '--format',
      'github',
      './deploy.sh',
    ]);
    expect(stdout.split('\n').slice(0, 5)).toEqual([
      '::error file=deploy.sh,line=4,title=acyclic::github.com:443/tcp would be denied: mysql → github → mysql: circular (policy.yaml:4, service github); use the mirror',
      '::error file=deploy.sh,line=5,title=acyclic::192.0.2.7:8080/tcp would be denied: mysql → github → mysql: circular (policy.yaml:4, service github); use the mirror',
      '::error file=deploy.sh,line=8,title=acyclic::db-1.mysql.internal would be denied: default (policy.yaml:7): no rule names it',
      '::error file=lib.sh,line=2,title=acyclic::github.com:443/tcp would be denied: mysql → github → mysql: circular (policy.yaml:4, service github); use the mirror',
      '::warning file=deploy.sh,line=6,title=acyclic::x.pkg.example:443/tcp would be marked: audit (policy.yaml:7)',
    ]);
    expect(stdout).toContain(
      '::notice file=deploy.sh,line=7,title=acyclic::the host that `ping "$1"` calls comes from',
    );
    const odd = place.run([
      'lint',
      '-p',
      'policy.yaml',
      '-d',
      'mysql',
      '--format',
      'github',
      'odd%,:name.sh',
    ]);
    expect(odd.stdout).toMatch(/^::error file=odd%25%2C%3Aname\.sh,line=1,/);
  });

  test('as SARIF', () => {
    const { stdout, status } = place.run([
      'lint',
      '-p',
      'policy.yaml',
      '-d',
      'mysql',
      '--format',
      'sarif',
      './deploy.sh',
    ]);
    const { version, runs } = JSON.parse(stdout);
    expect({ version, status }).toEqual({ version: '2.1.0', status: 1 });
    const [{ tool, results, invocations }] = runs;
    expect(tool.driver.rules).toEqual([{ id: 'circular' }, { id: 'default' }, { id: 'audit' }]);
    expect(results).toHaveLength(5);
    expect(results[0]).toEqual({
      ruleId: 'circular',
      ruleIndex: 0,
      level: 'error',
      message: { text: expect.stringMatching(/^github\.com:443\/tcp would be denied/) },
      locations: [{ physicalLocation: { artifactLocation: { uri: 'deploy.sh' }, region: { startLine: 4 } } }],
    });
    expect(results[4]).toMatchObject({ ruleId: 'audit', ruleIndex: 2, level: 'warning' });
    expect(invocations[0]).toMatchObject({ executionSuccessful: true });
    expect(invocations[0].toolExecutionNotifications).toHaveLength(2);
  });

  test('as JSON, also without a policy', () => {
    const { stdout } = place.run(['lint', './deploy.sh', '--format', 'json']);
    const { hosts, ...rest } = JSON.parse(stdout);
    expect(rest).toMatchObject({ v: 1, script: './deploy.sh', deployment: null, policy: null, mode: null });
    expect(rest).toMatchObject({ files: ['deploy.sh', 'lib.sh'], complete: true });
    expect(hosts[0]).toEqual({
      ...{ file: 'deploy.sh', line: 3, host: 'tools.mirror.internal', port: 443, protocol: 'tcp' },
      ...{ service: null, verdict: null, rule: null, cycle: null },
    });
    const judged = JSON.parse(
      place.run(['lint', './deploy.sh', '-p', 'policy.yaml', '-d', 'mysql', '--json']).stdout,
    );
    expect(judged.hosts[1]).toMatchObject({
      ...{ host: 'github.com', service: 'github', verdict: 'deny', cycle: ['mysql', 'github', 'mysql'] },
      rule: { kind: 'circular', source: 'policy.yaml:4', service: 'github', instead: 'use the mirror' },
    });
  });

  test('in audit mode it says what would be denied if it were enforced', () => {
    place.file('audit.yaml', 'version: 1\nservices: { s: {} }\ndeployments: { s: { mode: audit } }\n');
    const { stdout, status } = place.run(['lint', '-p', 'audit.yaml', 'clean.sh']);
    expect(stdout).toContain('clean.sh:1: tools.mirror.internal:443/tcp would be denied if it were enforced');
    expect(status).toBe(1);
  });

  test('it needs no root, and what a script names cannot make it wait or act', () => {
    place.bare(['chmod', '755', '.']);
    place.bare(['mkfifo', 'pipe']);
    place.file(
      'nasty.sh',
      '. ./pipe\n./pipe\n. /dev/zero\nsh /proc/kmsg\n./$(touch made)\n. ~/x\nsource /dev/tty\n',
    );
    const args = ['--reuid=65534', '--regid=65534', '--clear-groups', acyclic, 'lint', 'nasty.sh'];
    const { stdout, status } = spawnSync('setpriv', args, {
      cwd: place.directory,
      encoding: 'utf8',
      timeout: 10_000,
    });
    expect(status).toBe(0);
    expect(stdout).toContain('nasty.sh:1: `pipe`: not a file that can be read: is not read');
    expect(place.bare(['test', '-e', 'made']).status).toBe(1);
  });

  test('what a script spells cannot move a terminal', () => {
    place.file('escape.sh', '"\u001b[2J$X" y\n');
    const { stdout } = place.run(['lint', 'escape.sh']);
    expect(stdout).toContain('\\x1b[2J');
    expect(stdout).not.toContain('\u001b');
  });

  test('it is completed', () => {
    expect(place.run(['complete', '--', 'li']).stdout).toContain('lint\twhat a script names');
    expect(place.run(['complete', '--', 'lint', '--fo']).stdout).toContain('--format');
  });
});
