import { expect, test } from 'vitest';
import { parsePolicy } from '../policy/parse.ts';
import type { Subject } from '../policy/policy.ts';
import { writtenSubject } from '../policy/roles.ts';
import type { Peer } from './host-interface.ts';
import { lookUpByGetent, Permissions } from './permissions.ts';

const { policy } = parsePolicy([
  {
    path: 'a',
    text: 'version: 1\nservices: { s: {} }\nroles: { run: [ops, "user:alice"], apply: [sre] }\ndeployments: { s: {} }',
  },
]);
const peer = (uid: number, gid: number, groups: number[] = []): Peer => ({ pid: 1, uid, gid, groups });
const run = { what: 'run', deployment: 's' } as const;
const apply = { what: 'apply' } as const;

test('names of policy are held against the ids of who asks', async () => {
  const ids: Record<string, number> = { ops: 50, 'user:alice': 7 };
  const permissions = await Permissions.of(policy, async (subject) => ids[writtenSubject(subject)] ?? null);
  const may = (who: Peer, act: typeof run | typeof apply = run) => permissions.may(who, act).allowed;
  expect([may(peer(7, 1)), may(peer(8, 50)), may(peer(8, 1, [2, 50]))]).toEqual([true, true, true]);
  expect([may(peer(50, 1)), may(peer(8, 7, [7])), may(peer(8, 1))]).toEqual([false, false, false]);
  expect(permissions.unknown).toEqual(['sre']);
  expect(may(peer(7, 50), apply)).toBe(false);
  ids.sre = 51;
  await permissions.refresh();
  expect([may(peer(9, 51), apply), permissions.unknown]).toEqual([true, []]);
});

test('a name that cannot be looked up for now keeps its id; one that never could is nobody', async () => {
  let well = true;
  const lookUp = async ({ name }: Subject) => {
    if (!well || name === 'sre') throw new Error('sssd is down');
    return 50;
  };
  const permissions = await Permissions.of(policy, lookUp);
  well = false;
  await permissions.refresh();
  expect(permissions.may(peer(8, 50), run).allowed).toBe(true);
  expect(permissions.may(peer(8, 50), apply).allowed).toBe(false);
});

test('a name that is gone is nobody', async () => {
  let there = true;
  const permissions = await Permissions.of(policy, async () => (there ? 50 : null));
  there = false;
  await permissions.refresh();
  expect(permissions.may(peer(8, 50), run).allowed).toBe(false);
});

test('users and groups are those of the host', async () => {
  expect(await lookUpByGetent({ kind: 'user', name: 'root' })).toBe(0);
  expect(await lookUpByGetent({ kind: 'group', name: 'nogroup' })).toBe(65_534);
  expect(await lookUpByGetent({ kind: 'group', name: 'acyclic-there-is-none' })).toBeNull();
});
