import { expect, test } from 'vitest';
import { recorded } from '../../test/recorded.ts';
import type { AuditEvent } from '../model/event.ts';
import { compile } from './compile.ts';
import { parsePolicy } from './parse.ts';
import { ReadinessCheck } from './ready.ts';

const TEXT = `version: 1
services:
  mysql: {}
  github: { hosts: [github.com], depends_on: [mysql] }
deployments:
  mysql: { mode: audit, default: allow, allow: [{ host: a.example }], audit: [{ host: b.example }], delegate: { docker: deny } }
`;

function check(events: readonly AuditEvent[], runs: readonly string[], lost: Record<string, number> = {}) {
  const none = { allow: [], deny: [], ownAddresses: [], now: new Date(0) };
  const { policy } = parsePolicy([{ path: 'p.yaml', text: TEXT }]);
  const readiness = new ReadinessCheck({
    policy: compile(policy, { ...none, deployment: 'mysql', default: 'deny', mode: 'enforce' }),
    target: ({ destination }) => destination?.names[0] ?? destination?.address ?? '',
    wanted: 2,
    delegateAt: (path) =>
      path === '/run/docker.sock' ? 'docker' : path === '/run/podman.sock' ? 'podman' : null,
  });
  for (const run of runs) readiness.addRun({ run, deployment: 'mysql', time: '', lost });
  for (const event of events) readiness.add(event);
  return readiness.result();
}

const called = (name: string, run = 'r1', count = 1) => recorded({ names: [name], run, count });

test('is ready when enough runs called only what a rule speaks of', () => {
  const events = [called('a.example'), called('b.example'), recorded({ address: '127.0.0.1' })];
  expect(check(events, ['r1', 'r2'])).toMatchObject({ ready: true, runs: 2, undecided: [], denied: [] });
});

test('names the destinations nobody decided on, by calls and runs', () => {
  const events = [called('x.example', 'r1', 3), called('x.example', 'r2'), called('y.example')];
  const { ready, undecided } = check(events, ['r1', 'r2']);
  expect(ready).toBe(false);
  expect(undecided.map(({ destination, count, runs }) => [destination, count, runs])).toEqual([
    ['x.example', 4, 2],
    ['y.example', 1, 1],
  ]);
});

test('a destination that a rule denies is decided on, and told', () => {
  const { ready, denied } = check([called('github.com')], ['r1', 'r2']);
  expect(ready).toBe(true);
  expect(denied).toMatchObject([
    { destination: 'github.com', decision: { cycle: ['mysql', 'github', 'mysql'] } },
  ]);
});

test('work for a delegate that will be denied is told', () => {
  const handed = (path: string): AuditEvent => ({
    ...called(path),
    kind: 'exec-outside',
    verdict: 'would-deny',
  });
  const { ready, denied } = check(['/run/docker.sock', '/run/podman.sock', '/run/other.sock'].map(handed), [
    'r1',
    'r2',
  ]);
  expect(ready).toBe(true);
  expect(denied).toMatchObject([
    { destination: '/run/docker.sock', decision: { rule: { kind: 'deny', source: 'p.yaml:6' } } },
  ]);
});

test('is not ready on too few runs, or where events were lost', () => {
  expect(check([], ['r1'])).toMatchObject({ ready: false, runs: 1, wanted: 2 });
  expect(check([], ['r1', 'r1'])).toMatchObject({ ready: false, runs: 1 });
  expect(check([], ['r1', 'r2'], { 'ring full': 3 })).toMatchObject({
    ready: false,
    incomplete: ['r1', 'r2'],
  });
});
