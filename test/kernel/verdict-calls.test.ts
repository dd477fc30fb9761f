import { mkdirSync, rmdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownCgroup } from '../../src/kernel/cgroup.ts';
import { until } from './fixtures/fixture.ts';
import { Harness } from './harness.ts';
import { expectAgreement } from './harness-agreement.ts';
import { type Case, compiled, OWN } from './harness-cases.ts';
import { type Attempt, type Ground, KINDS, makeGround } from './harness-dial.ts';

let ground: Ground;
let harness: Harness;

beforeAll(async () => {
  ground = await makeGround();
  harness = await Harness.start(ground);
});

afterAll(async () => {
  await harness?.stop();
  await ground?.close();
});

const { EPERM, ECONNREFUSED, EPROTONOSUPPORT } = constants.errno;
const ALLOWED = { 4: '192.0.2.1', 6: '2001:db8::1' };
const DENIED = { 4: '192.0.2.2', 6: '2001:db8::2' };

function example(rules: object, attempts: Attempt[]): Case {
  return {
    written: { version: 1, services: { d: { hosts: ['d.c'] } }, deployments: { d: rules } },
    options: { allow: [], deny: [], default: null },
    learned: [],
    here: true,
    attempts,
  };
}

function install(of: Case): void {
  const { learned, here } = of;
  harness.install({ policy: compiled(of, [OWN]), policyElsewhere: compiled(of, []), learned, here });
}

describe.for([
  { on_deny: 'EPERM', number: EPERM },
  { on_deny: 'ECONNREFUSED', number: ECONNREFUSED },
])('with $on_deny', ({ on_deny, number }) => {
  test.for(Object.entries(KINDS))('%s is decided, both ways', async ([kind, { family, hook }], context) => {
    if (harness.dialler.missing.has(kind)) context.skip(`this kernel has no ${kind}`);
    const allow = [{ address: ALLOWED[family] }];
    const attempts = [ALLOWED[family], DENIED[family]].map((address) => ({ kind, address, port: 443 }));
    const one = example({ default: 'deny', on_deny, allow }, attempts);
    await expectAgreement(harness, one);
    const { errnos } = await harness.dial(attempts);
    // Nothing but a packet is left to drop at egress: its errno is the kernel's own.
    const packet = hook === 'cgroup_skb/egress';
    const denied = packet ? [EPERM, 0] : [kind.startsWith('mptcp') ? EPROTONOSUPPORT : number];
    expect(denied).toContain(errnos[1]);
  });
});

test('a socket that was allowed is judged again by the next policy', async () => {
  const to = { kind: '+udp4', address: '192.0.2.1', port: 443 };
  const again = { ...to, kind: 'again' };
  install(example({ default: 'allow' }, []));
  expect((await harness.dial([to])).errnos).toEqual([0]);
  install(example({ default: 'deny' }, []));
  const { errnos, seen } = await harness.dial([again]);
  expect(errnos).toEqual([EPERM]);
  expect(seen.map(({ record }) => [record.hook, record.decision])).toEqual([['cgroup_skb/egress', 'deny']]);
  install(example({ default: 'allow' }, []));
  expect((await harness.dial([again])).errnos).toEqual([0]);
});

test('in a cgroup the script made for itself calls are still judged', async () => {
  install(example({ default: 'deny', allow: [{ address: '192.0.2.1' }] }, []));
  const nested = join(harness.run.path, 'nested');
  mkdirSync(nested);
  const inner = await ground.dialler(nested);
  const attempts = ['192.0.2.1', '192.0.2.2'].map((address) => ({ kind: 'send4', address, port: 443 }));
  try {
    expect(await inner.dial(attempts)).toEqual([0, EPERM]);
  } finally {
    await inner.close();
    await until(() => removed(nested), 'the nested cgroup to be empty');
  }
});

test('a table that holds nothing denies', async () => {
  harness.installNothing(compiled(example({ default: 'allow' }, []), [OWN]));
  const attempts = ['tcp4', 'send6', 'ping4'].map((kind) => ({
    kind,
    address: ALLOWED[KINDS[kind]?.family ?? 4],
    port: 443,
  }));
  const { errnos, seen } = await harness.dial(attempts);
  expect(errnos).toEqual([EPERM, EPERM, EPERM]);
  expect(seen.map(({ record }) => record.cause)).toEqual(['no-entry', 'no-entry', 'no-entry']);
});

function removed(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

test('a process outside the run calls what the run is denied, and is not recorded', async () => {
  install(example({ default: 'deny' }, []));
  const outside = await ground.dialler(ownCgroup().path);
  const attempts = harness.kinds.map((kind) => ({
    kind,
    address: DENIED[KINDS[kind]?.family ?? 4],
    port: 443,
  }));
  const errnos = await outside.dial(attempts);
  await outside.close();
  expect(errnos.filter((errno) => errno === EPERM)).toEqual([]);
  expect((await harness.dial([])).seen).toEqual([]);
});

describe('port 53', () => {
  const lookups = [
    'tcp4',
    'tcp6',
    'tcp-mapped',
    'udp4',
    'udp6',
    'udp-mapped',
    'send4',
    'send6',
    'send-mapped',
  ];
  const attempts = lookups.map((kind) => ({ kind, address: ALLOWED[KINDS[kind]?.family ?? 4], port: 53 }));
  const refused = (cause: string) => lookups.map(() => ['deny', cause, EPERM]);
  const told = async () => {
    const { errnos, seen } = await harness.dial(attempts);
    return seen.map(({ record }, i) => [record.decision, record.cause, errnos[i]]);
  };

  test('fails at once where no proxy answers, whatever the policy says', async () => {
    install(example({ default: 'allow' }, []));
    harness.words.setProxy(0);
    expect(await told()).toEqual(refused('dns-proxy-down'));
  });

  test('fails at once where the proxy is in another network namespace', async () => {
    install({ ...example({ default: 'allow' }, []), here: false });
    harness.words.setProxy(5353);
    expect(await told()).toEqual(refused('dns-other-netns'));
  });

  test('is turned to the proxy, whatever the policy says of the server', async () => {
    install(example({ default: 'deny' }, []));
    harness.words.setProxy(5353);
    const { errnos, seen } = await harness.dial(attempts);
    expect(errnos).not.toContain(EPERM);
    expect(seen).toEqual([]);
  });
});
