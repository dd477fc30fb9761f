import { chownSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonAnswer } from '../../src/daemon/client.ts';
import { findCgroup2 } from '../../src/kernel/mounts.ts';
import { acyclic, remains } from '../cli/harness.ts';
import { MEMBER } from './harness.ts';
import { asUser, type Hosted, openHost } from './host.ts';

let hosted: Hosted;
beforeAll(async () => {
  hosted = await openHost();
});
afterAll(async () => {
  await hosted.close();
  expect(remains()).toEqual([]);
});

test('a member whose cgroups are his own, as those of a user’s systemd are, cannot leave a run by them', () => {
  const root = join(findCgroup2(), `acyclic-test-${process.pid}-delegated`);
  const own = join(root, 'inner');
  mkdirSync(own, { recursive: true });
  try {
    for (const path of [root, own])
      for (const file of ['.', 'cgroup.procs', 'cgroup.subtree_control'])
        chownSync(join(path, file), MEMBER.uid, MEMBER.gid);
    const script = `echo $$ > ${own}/cgroup.procs && echo left; (exec 3<>/dev/tcp/127.2.0.7/9) || true`;
    const run = [...asUser(MEMBER), acyclic, 'run', '--socket', hosted.socket, '--', 'bash', '-c', script];
    const within = ['sh', '-c', `echo $$ > ${own}/cgroup.procs; exec "$@"`, 'sh', ...run];
    const { status, stdout, stderr } = hosted.place.bare(within);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(stderr).toMatch(/write error: Permission denied/);
    expect(stderr).toMatch(/ 1 denied /);
  } finally {
    rmdirSync(own);
    rmdirSync(root);
  }
});

const RUN = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
/** A body of each route that takes one, which is as it must be. */
const BODIES: readonly (readonly [route: string, body: object])[] = [
  [
    '/v1/runs',
    {
      ...{ deployment: null, file: '/bin/true', command: ['true'], cwd: '/', path: '/bin', home: null },
      ...{ labels: {}, mode: null, requireEnforce: false, allow: [], deny: [], default: null },
      ...{ failOn: 'never', leftover: 'release', limits: { cpu: null, memory: null, tasks: null } },
      ...{ syscalls: false, breakGlass: null },
    },
  ],
  [`/v1/runs/${RUN}/command`, { pid: 1 }],
  [`/v1/runs/${RUN}/end`, { status: 0, timedOut: false }],
  ['/v1/policy/apply', { files: [{ path: 'acyclic.yaml', text: 'version: 1' }], reason: 'a test' }],
  ['/v1/policy/rollback', { to: 'abcd' }],
  [
    '/v1/entries',
    { verdict: 'deny', destination: '10.0.0.1', seconds: 1, reason: 'a test', deployment: 'mysql' },
  ],
  ['/v1/attachments', { target: { kind: 'cgroup', path: '/none' }, deployment: null, mode: null }],
  ['/v1/attachments', { target: { kind: 'unit', unit: 'none.service' }, deployment: 'mysql', mode: null }],
  ['/v1/attachments', { target: { kind: 'container', id: 'abcdef' }, deployment: 'mysql', mode: 'audit' }],
];

const ODD = fc.oneof(
  fc.constantFrom('', '/', '/../../etc/passwd', '.', '..', '-', '*', '*.*', '__proto__', 'constructor'),
  fc.constantFrom('service:', 'service:__proto__', '[::1]:0', '127.0.0.1:99999', '::/0', 'a'.repeat(70_000)),
  fc.constantFrom<unknown>(null, true, 0, -1, 1.5, 1e308, 2 ** 53, [], [[]], {}, '\0', '\ud800'),
  fc.json().map((text): unknown => JSON.parse(text)),
);

/** A body with some of it left out or something else. */
function almost(body: object): fc.Arbitrary<object> {
  const fields = Object.entries(body).map(([key, value]) => [
    key,
    fc.oneof({ weight: 6, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: ODD }),
  ]);
  const keys = Object.keys(body) as never[];
  const all = fc.record(Object.fromEntries(fields));
  const some = fc.record(Object.fromEntries(fields), { requiredKeys: keys.slice(1) });
  const more = fc.tuple(all, fc.string(), ODD).map(([given, key, odd]) => ({ ...given, [key]: odd }));
  return fc.oneof({ weight: 6, arbitrary: all }, some, more);
}

test('bodies that are almost right are refused with a reason, and are no fault of the daemon’s', async () => {
  const { client } = hosted;
  const codes = new Set<string>();
  for (const [route, like] of BODIES)
    for (const body of fc.sample(almost(like), 80)) {
      try {
        const { id } = await client.request<{ id: string }>('POST', route, { body });
        if (route === '/v1/runs')
          await client.request('POST', `/v1/runs/${id}/end`, { body: { status: null, timedOut: false } });
        if (route === '/v1/entries') await client.request('DELETE', `/v1/entries/${id}`);
      } catch (error) {
        expect(error, JSON.stringify({ route, body })).toBeInstanceOf(DaemonAnswer);
        expect((error as DaemonAnswer).status, JSON.stringify({ route, body })).toBeLessThan(500);
        codes.add((error as DaemonAnswer).code);
      }
    }
  expect([...codes]).toContain('bad-request');
  expect((await hosted.status()).degraded).toEqual([]);
});
