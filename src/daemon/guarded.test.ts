import { expect, test } from 'vitest';
import { patternsIn } from '../policy/match.ts';
import { parsePolicy } from '../policy/parse.ts';
import { guardedAt } from './guarded.ts';

const { policy } = parsePolicy([
  {
    path: 'a',
    text: `version: 1
services: { mysql: {}, web: {} }
deployments:
  mysql: { match: { units: ["deploy-mysql@*.service"], slices: [mysql.slice] } }
  web: { match: { units: ["deploy-web.service"], required: false } }`,
  },
]);
const guard = { run: '01KAR2RZ0000000000000000AA', deployment: 'mysql', mode: 'enforce' } as const;
const state = {
  guards: new Map([['/system.slice/deploy-mysql@1.service', guard]]),
  patterns: patternsIn(policy),
  refused: new Map([['/system.slice/deploy-mysql@2.service', 'there is no room']]),
};
const none = { run: null, deployment: null, mode: null };

test.each([
  [
    '/system.slice/deploy-mysql@1.service',
    { guarded: true, ...guard, matched: 'mysql', required: true, why: null },
  ],
  [
    // Where systemd puts what runs beside the main process of a unit with Delegate=.
    '/system.slice/deploy-mysql@1.service/.control',
    { guarded: true, ...guard, matched: 'mysql', required: true, why: null },
  ],
  [
    '/system.slice/deploy-mysql@2.service',
    { guarded: false, ...none, matched: 'mysql', required: true, why: 'there is no room' },
  ],
  [
    '/mysql.slice/mysql-backup.slice/x.service',
    { guarded: false, ...none, matched: 'mysql', required: true, why: null },
  ],
  [
    '/system.slice/deploy-web.service',
    { guarded: false, ...none, matched: 'web', required: false, why: null },
  ],
  ['/system.slice/other.service', { guarded: false, ...none, matched: null, required: true, why: null }],
  ['/system.slice', { guarded: false, ...none, matched: null, required: true, why: null }],
  ['/', { guarded: false, ...none, matched: null, required: true, why: null }],
])('%s', (cgroup, expected) => expect(guardedAt(cgroup, state)).toEqual({ cgroup, ...expected }));
