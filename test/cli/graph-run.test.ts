import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { acyclic, openPlace, type Place, remains } from './harness.ts';

let place: Place;
beforeAll(() => {
  place = openPlace();
});
afterAll(() => {
  place.close();
  expect(remains()).toEqual([]);
});

/** Services told apart by addresses of loopback, so that nothing leaves; nobody listens. */
const POLICY = `version: 1
services:
  mysql: { addresses: [127.1.0.1] }
  github: { addresses: [127.2.0.0/16], depends_on: [mysql] }
  mirror: { addresses: [127.2.0.9] }
  migrations: { addresses: [127.3.0.1] }
  vault: { addresses: [127.4.0.1] }
deployments:
  mysql:
    allow: [{ service: mirror }, { service: github }, { service: migrations }, { host: vault.internal }]
    deny: [{ address: 127.4.0.0/16 }]
`;

/** What bash is told of a connection to each: refused when it was let through. */
function calls(addresses: readonly string[]): string {
  return addresses
    .map(
      (address) =>
        `(exec 3<>/dev/tcp/${address}/9) 2>&1 | grep -oEm1 'refused|permitted' | sed 's/^/${address} /'`,
    )
    .join('; ');
}

test('what the graph and policy check say of a policy is what a run under it meets', () => {
  const policy = place.file('acyclic.yaml', POLICY);
  const report = place.file('calls.jsonl', '');
  const run = place.run([
    'run',
    '-p',
    policy,
    '--quiet',
    '--report',
    report,
    '--',
    'bash',
    '-c',
    calls(['127.1.0.1', '127.2.0.7', '127.2.0.9', '127.3.0.1']),
  ]);
  // The mirror is within github's prefix and more specific: it is not circular.
  expect(run.stdout).toBe('127.1.0.1 refused\n127.2.0.7 permitted\n127.2.0.9 refused\n127.3.0.1 refused\n');

  const check = place.bare([acyclic, 'policy', 'check', policy]);
  expect(check.status).toBe(1);
  expect(check.stdout).toContain(
    'the allow does not open `github`, which is circular: mysql → github → mysql',
  );
  expect(check.stdout).toContain(
    '`127.2.0.0/16` of service `github` holds `127.2.0.9` of `mirror`: being more specific, that one wins',
  );

  const summary = place.report('calls.jsonl').at(-1);
  const graph = (...args: string[]) =>
    place.bare([acyclic, 'graph', '-p', policy, '--report', report, '--state', 'none', ...args]);
  const tree = graph('--from-run', String(summary?.run));
  expect(tree).toMatchObject({ status: 0, stderr: '' });
  expect(tree.stdout).toMatch(/calls mirror {3}allow \(acyclic\.yaml:10\), seen 1 time on /);
  expect(tree.stdout).toMatch(/calls migrations {3}allow \(acyclic\.yaml:10\), seen 1 time on /);
  expect(tree.stdout).toMatch(/calls github {3}stopped 1 time on .*nobody declared it/);
  expect(tree.stdout).toContain('   └─ mysql → github → mysql\n');
  expect(graph('--cycles').stdout).toContain('mysql → github → mysql   its first call is denied');
});

test('a call seen in audit mode closes a cycle that stands, and a circular call is let through', () => {
  const policy = place.file(
    'audit.yaml',
    POLICY.replace('  mysql:\n    allow', '  mysql:\n    mode: audit\n    allow'),
  );
  const report = place.file('audit.jsonl', '');
  const run = place.run([
    'run',
    '-p',
    policy,
    '--quiet',
    '--report',
    report,
    '--',
    'bash',
    '-c',
    calls(['127.2.0.7']),
  ]);
  expect(run.stdout).toBe('127.2.0.7 refused\n');
  const graph = (...args: string[]) =>
    place.bare([acyclic, 'graph', '-p', policy, '--state', 'none', ...args]);
  expect(graph('--cycles')).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('its first call is let through and recorded'),
  });
  const seen = graph('--report', report, '--cycles');
  expect(seen.stdout).toMatch(
    /mysql → github → mysql {3}stands\n[\s\S]*seen {4}deployment mysql → github {3}seen 1 time on/,
  );
  expect(graph('--report', report).status).toBe(1);
});

test('what runs called is in the trail, without a report, and by its id so far as it is one run', () => {
  const policy = place.file('trail.yaml', POLICY);
  const state = join(place.directory, 'state');
  const report = place.file('trail.jsonl', '');
  const run = (address: string) =>
    place.run([
      'run',
      '-p',
      policy,
      '--quiet',
      '--state',
      state,
      '--report',
      report,
      '--',
      'bash',
      '-c',
      calls([address]),
    ]);
  expect(run('127.2.0.9').stdout).toBe('127.2.0.9 refused\n');
  const first = String(place.report('trail.jsonl').at(-1)?.run);
  place.file('trail.jsonl', '');
  expect(run('127.3.0.1').stdout).toBe('127.3.0.1 refused\n');
  const graph = (...args: string[]) =>
    place.bare([acyclic, 'graph', ...args, '-p', policy, '--state', state]);
  const all = graph();
  expect(all).toMatchObject({ status: 0, stderr: '' });
  expect(all.stdout).toMatch(/calls mirror .*seen 1 time on[\s\S]*calls migrations .*seen 1 time on/);
  const one = graph('--from-run', first);
  expect(one.stdout).toMatch(/calls mirror .*seen 1 time on[\s\S]*calls migrations .*never seen/);
  expect(graph('--from-run', '01ZZZ').stderr).toMatch(/^acyclic: there is no record `01ZZZ`/);
  expect(graph('export', '--observed').stdout.trim().split('\n')).toHaveLength(2);
});
