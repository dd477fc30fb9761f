import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { RunRecord } from '../../src/audit/runs.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { MEMBER } from './harness.ts';
import {
  CIRCULAR_ALLOWED,
  type Guest,
  type Hosted,
  hostForAll,
  type User,
  untilOver,
  untilStatus,
} from './host.ts';

let hosted: Hosted;
hostForAll((one) => {
  hosted = one;
});

/** What `acyclic ARGS` says on standard output, and nothing else. */
function say(...args: string[]): string {
  const { status, stdout, stderr } = hosted.acyclic(args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

const json = <T>(text: string): T[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

let guest: Guest | null = null;
let policy: string;
beforeAll(() => {
  policy = readFileSync(join(hosted.policy, 'acyclic.yaml'), 'utf8');
});
afterEach(async () => {
  await end();
  say('policy', 'apply', hosted.place.file('acyclic.yaml', policy));
});

/** A run in progress that has been denied one call and allowed another; its id. */
async function inProgress(as?: User): Promise<string> {
  const call = (address: string) => `(exec 3<>/dev/tcp/${address}/9) 2>/dev/null`;
  const script = `cd ${hosted.place.directory}; ${call('127.2.0.7')}; ${call('127.3.0.1')}
    until [ -e stop ]; do sleep 0.02; done`;
  guest = hosted.guest(['bash', '-c', script], { labels: { ticket: 'x' } }, as);
  const id = await guest.created;
  await untilStatus(
    hosted,
    ({ runs }) => runs.some((run) => run.id === id && run.calls === 2),
    'both calls are over',
  );
  return id;
}

async function end(): Promise<void> {
  if (!guest) return;
  const stop = hosted.place.file('stop', '');
  const { told, created } = guest;
  guest = null;
  await told;
  rmSync(stop);
  await untilOver(hosted, await created);
}

test('runs has those in progress as the daemon has them, by a policy that was put in force meanwhile', async () => {
  const id = await inProgress();
  const next = hosted.place.file('acyclic.yaml', CIRCULAR_ALLOWED);
  const applied = JSON.parse(say('policy', 'apply', next, '--reason', 'OPS-4', '--json'));
  const run = json<RunRecord>(say('runs', '--json')).find((one) => one.run === id);
  const now = { run: id, policy: applied.id, mode: 'enforce', calls: 2, denials: 1, would_deny: 0 };
  expect(run).toMatchObject({ ...now, state: 'running', labels: { ticket: 'x' }, ended: null });
  expect(JSON.parse(say('runs', id, '--json'))).toEqual(run);
  expect(say('runs', '--label', 'ticket=x')).toMatch(
    new RegExp(`^RUN .*\n${id} +\\S+ \\S+ +mysql +2 +1 +running +bash -c .*\n$`),
  );
  expect(say('runs', '--label', 'ticket=y')).toBe('');
  expect(say('runs', id)).toContain(`mode       enforce, policy ${applied.id}`);
  expect(say('runs', id)).toContain('calls      2, 1 denied, 0 would be denied');
  await end();
  expect(JSON.parse(say('runs', id, '--json'))).toMatchObject({ state: 'ended', denials: 1 });
});

test('who may not read the audit trail sees what is in progress, and is told that it is not all', async () => {
  const id = await inProgress(MEMBER);
  const listed = hosted.acyclic(['runs', '--json'], MEMBER);
  const run = json<RunRecord>(listed.stdout).find((one) => one.run === id);
  expect(run).toMatchObject({ state: 'running', calls: 2, denials: 1 });
  expect(listed.status).toBe(0);
  expect(listed.stderr).toMatch(/"only runs in progress are told of: .* is not yours to read"/);
  expect(hosted.acyclic(['runs', id], MEMBER).stdout).toContain('calls      2, 1 denied');
  const { status, stderr } = hosted.acyclic(['runs', '01AAAA'], MEMBER);
  expect({ status, stderr }).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('no run in progress is `01AAAA`'),
  });
});

test('a change of policy is no run; audit finds it, and tells who changed what and why', async () => {
  const next = hosted.place.file('acyclic.yaml', CIRCULAR_ALLOWED);
  const { id: after, before } = JSON.parse(say('policy', 'apply', next, '--reason', 'OPS-5', '--json'));
  say('deny', '127.9.0.0/16', '--for', '1h', '--reason', 'OPS-6', '-d', 'mysql');
  say('deny', '--remove', '127.9.0.0/16');
  const changes = json<AuditEvent>(say('audit', 'list', '--kind', 'policy', '--json'));
  const applied = changes.find(({ change }) => change?.reason === 'OPS-5');
  const made = changes.find(({ change }) => change?.reason === 'OPS-6');
  const runs = json<RunRecord>(say('runs', '--json')).map(({ run }) => run);
  expect(runs).not.toContain(applied?.run);
  expect(json(say('audit', 'list', '--run', applied?.run ?? '', '--json'))).toEqual(changes);
  expect(say('audit', 'list', '--kind', 'policy')).toMatch(
    new RegExp(
      `policy +\\S+\\[\\d+\\] +apply: policy ${after}, OPS-5 .*\n.* mysql .*entry-made: deny 127.9.0.0/16 until`,
    ),
  );
  expect(
    say('audit', 'show', applied?.id ?? '')
      .split('\n')
      .slice(2),
  ).toEqual([
    ...[
      '  kind       policy: apply',
      expect.stringMatching(/^ {2}by {9}root \(\S+\)$/),
      '  reason     OPS-5',
    ],
    ...[`  policy     ${after}, before it was ${before}`, expect.stringMatching(/^ {2}changes {4}\S/)],
    ...(applied?.change?.changes.slice(1).map((line) => `             ${line}`) ?? []),
    '',
  ]);
  expect(applied?.change?.changes.join()).toContain('mysql');
  expect(say('audit', 'show', made?.id ?? '')).toMatch(
    /by {9}root \(\S+\)\n {2}reason {5}OPS-6\n {2}deployment mysql\n {2}policy .*\n {2}changes {4}deny 127/,
  );
  const shown = JSON.parse(say('audit', 'show', applied?.id ?? '', '--json'));
  expect(shown).toMatchObject({ change: { by: 0 }, run_record: null });
  expect(say('audit', 'export', '--format', 'csv', '--kind', 'policy')).toMatch(
    /,change,changes\n(.*\n)*.*,OPS-5,.*,apply,"?deployment mysql \| /,
  );
  const { status, stderr } = hosted.acyclic(['runs', applied?.run ?? '']);
  expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining('is no run') });
});

test('policy explain goes by the policy in force and the live entries above it, and says so; one that is given stands alone', async () => {
  const inForce = (dest: string, ...args: string[]) => say('policy', 'explain', dest, ...args);
  const source = hosted.policy;
  const { policies } = await hosted.status();
  expect(inForce('127.2.0.7:443/tcp')).toMatch(
    new RegExp(
      `^127.2.0.7:443/tcp for deployment mysql, enforce, policy ${policies[0]?.id}\n  policy of ${source}, with no live entry above it\n(.*\n)*.*443/tcp: deny by circular`,
    ),
  );
  say('allow', 'service:github', '--for', '1h', '--reason', 'OPS-7');
  const opened = inForce('127.2.0.7:443/tcp');
  expect(opened).toContain('with 1 live entry above it\n');
  expect(opened).toMatch(
    /443\/tcp: allow by live \(allow service:github until .*\)(.*\n)* {4}live {5}allow: decides\n/,
  );
  expect(JSON.parse(inForce('127.2.0.7:443/tcp', '--json'))).toMatchObject({
    ...{
      source,
      live: [{ verdict: 'allow', destination: 'service:github', reason: 'OPS-7', deployment: null }],
    },
    parts: [{ calls: [{ answer: 'allow', rule: { kind: 'live' } }] }],
  });
  const file = join(source, 'acyclic.yaml');
  expect(inForce('127.2.0.7:443/tcp', '-p', file)).toMatch(
    new RegExp(`\n  policy of ${file}, without live entries: .*\n(.*\n)*.*443/tcp: deny by circular`),
  );
  expect(JSON.parse(inForce('127.2.0.7', '-p', file, '--json')).live).toBeNull();
  const beside = hosted.acyclic(['policy', 'explain', '127.2.0.7', '-p', file, '--socket', hosted.socket]);
  expect(beside).toMatchObject({ status: 2, stderr: expect.stringContaining('leave one of them out') });
  say('allow', '--remove', 'service:github');
});
