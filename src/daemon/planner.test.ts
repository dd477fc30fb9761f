import { expect, test } from 'vitest';
import { loadFiles } from '../guard/policy-files.ts';
import type { AskedRun } from '../guard/run-plan.ts';
import { NO_LIMITS } from '../model/limits.ts';
import { Planner } from './planner.ts';

const text = (reason: string) => `version: 1
services:
  mysql: { addresses: [127.1.0.1] }
  github: { addresses: [127.2.0.0/16], depends_on: [mysql] }
deployments:
  mysql:
    waivers: [{ service: github, until: 2026-06-01, reason: ${reason}, owner: dba }]
`;
const load = (reason: string) =>
  loadFiles('/etc/acyclic', [{ file: '/etc/acyclic/a.yaml', name: 'a.yaml', text: text(reason) }]);

const asked = (changes: Partial<AskedRun> = {}): AskedRun => ({
  ...{ deployment: 'mysql', mode: null, now: new Date('2026-05-01'), allow: [], deny: [], default: null },
  limits: NO_LIMITS,
  ...changes,
});

test('runs that ask a policy for the same share a plan; others do not', () => {
  const [policy, other] = [load('OPS-1'), load('OPS-2')];
  const planner = new Planner([]);
  const one = planner.plan(policy, asked());
  expect(planner.plan(policy, asked({ now: new Date('2026-05-20') }))).toBe(one);
  const rest = [
    planner.plan(policy, asked({ now: new Date('2026-07-01') })),
    planner.plan(policy, asked({ mode: 'audit' })),
    planner.plan(other, asked()),
    planner.plan(null, asked({ deployment: null })),
  ];
  expect(new Set([one, ...rest]).size).toBe(5);
  expect(rest.map(({ plan }) => plan.policyId)).toEqual([policy.id, policy.id, other.id, null]);
});
