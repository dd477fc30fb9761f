import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { LEASE_SETTINGS } from '../../src/guard/lease-settings.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { QUICK, SLACK, Stage } from './harness.ts';
import { NAME_SERVER } from './stage.ts';

const { EPERM } = constants.errno;
const [ONE, TWO] = ['192.0.2.1', '192.0.2.2'];
const POLICY = {
  version: 1,
  deployments: {
    d: {
      circular: 'off',
      allow: [{ host: '*.ok.example', ports: [5432] }],
      deny: [{ host: 'bad.example' }],
      dns: { servers: [NAME_SERVER], on_deny: 'resolve' },
    },
  },
};
/** Past this, what is not used has lapsed. */
const LAPSED = QUICK.floor + QUICK.grace + SLACK;

async function open(leases = QUICK, policy: object = POLICY): Promise<Stage> {
  const stage = await Stage.open({ policy, leases });
  await stage.zone({
    'a.ok.example': [`0 A ${ONE}`],
    'b.ok.example': [`0 A ${TWO}`],
    'c.ok.example': ['0 CNAME edge.example'],
    'edge.example': [`0 A ${ONE}`],
    'bad.example': [`0 A ${TWO}`],
    'hint.ok.example': [`0 HTTPS 1 . ipv4hint=${TWO}`],
  });
  return stage;
}

async function end(stage: Stage, lost: Record<string, number> = {}): Promise<readonly AuditEvent[]> {
  const { events, ...rest } = await stage.end();
  expect(rest).toMatchObject({ lost, failures: [] });
  return events;
}

const calls = (events: readonly AuditEvent[], address: string) =>
  events.filter(({ kind, destination }) => kind === 'connect' && destination?.address === address);

test.concurrent('an answer opens its address until it lapses; then the name must be asked for again', async () => {
  const stage = await open();
  expect(await stage.call('connect', 'before', ONE)).toBe(EPERM);
  expect(await stage.resolve('a.ok.example')).toEqual({ rcode: 0, addresses: [ONE] });
  expect(await stage.call('connect', 'x', ONE)).toBe(0);
  await stage.close('x');
  // Twice as long as its TTL: the grace.
  await sleep(QUICK.floor * 2);
  expect(await stage.call('connect', 'y', ONE)).toBe(0);
  await stage.close('y');
  await sleep(LAPSED);
  expect(await stage.call('connect', 'z', ONE)).toBe(EPERM);
  await stage.resolve('a.ok.example');
  expect(await stage.call('connect', 'z', ONE)).toBe(0);
  const events = await end(stage);
  expect(calls(events, ONE).map(({ verdict, destination }) => [verdict, destination?.names])).toEqual([
    ['deny', []],
    ['allow', ['a.ok.example']],
    ['allow', ['a.ok.example']],
    ['deny', []],
    ['allow', ['a.ok.example']],
  ]);
});

test.concurrent('a connection is not cut, and others to its address are as good while it lasts', async () => {
  const stage = await open();
  await stage.resolve('a.ok.example');
  await stage.resolve('b.ok.example');
  expect(await stage.call('connect', 'tcp', ONE)).toBe(0);
  expect(await stage.call('flow', 'udp', TWO)).toBe(0);
  for (let i = 0; i < 3; i++) {
    await sleep(LAPSED);
    expect(await stage.again('tcp')).toBe(0);
    expect(await stage.again('udp')).toBe(0);
  }
  expect(await stage.call('connect', 'more', ONE)).toBe(0);
  expect(await stage.call('connect', 'other', TWO)).toBe(0);
  for (const key of ['tcp', 'more', 'other', 'udp']) await stage.close(key);
  // A client whose connection was dropped connects again, without asking.
  await sleep(QUICK.grace / 2);
  expect(await stage.call('connect', 'again', ONE)).toBe(0);
  await stage.close('again');
  await sleep(LAPSED);
  expect(await stage.call('connect', 'late', ONE)).toBe(EPERM);
  expect(await stage.call('flow', 'late', TWO)).toBe(EPERM);
  const events = await end(stage);
  // Told when its socket ended, long after: with the names it was let through by.
  const sends = events.filter(({ kind, destination }) => kind === 'send' && destination?.address === TWO);
  expect(sends.map(({ destination, verdict }) => [verdict, destination?.names])).toEqual([
    ['allow', ['b.ok.example']],
    ['allow', ['b.ok.example']],
    ['deny', []],
  ]);
});

test.concurrent('when the answer rotates, the address before it holds on for its grace', async () => {
  const stage = await open();
  await stage.resolve('a.ok.example');
  await stage.zone({ 'a.ok.example': [`0 A ${TWO}`] });
  await sleep(QUICK.floor * 2);
  expect(await stage.resolve('a.ok.example')).toEqual({ rcode: 0, addresses: [TWO] });
  expect(await stage.call('connect', 'old', ONE)).toBe(0);
  expect(await stage.call('connect', 'new', TWO)).toBe(0);
  await stage.close('old');
  await sleep(LAPSED);
  expect(await stage.call('connect', 'old', ONE)).toBe(EPERM);
  expect(await stage.call('connect', 'more', TWO)).toBe(0);
  await end(stage);
});

test.concurrent('a denied name closes an address it shares for as long as it leads there, refused calls aside', async () => {
  const stage = await open();
  await stage.resolve('bad.example');
  const learned = performance.now();
  expect(await stage.call('connect', 'x', TWO)).toBe(EPERM);
  while (performance.now() - learned < LAPSED) {
    await stage.resolve('b.ok.example');
    const errno = await stage.call('connect', 'x', TWO);
    if (performance.now() - learned < QUICK.floor + QUICK.grace) expect(errno).toBe(EPERM);
    await stage.close('x');
    await sleep(100);
  }
  expect(await stage.call('connect', 'x', TWO)).toBe(0);
  const [first, ...more] = calls(await end(stage), TWO);
  expect(first?.destination?.names).toEqual(['bad.example']);
  expect(more[0]?.destination?.names).toEqual(['b.ok.example', 'bad.example']);
  expect(more.at(-1)?.destination?.names).toEqual(['b.ok.example']);
});

test.concurrent('the address hints of an HTTPS record are leased like addresses', async () => {
  const stage = await open();
  expect((await stage.resolve('hint.ok.example', 'HTTPS')).rcode).toBe(0);
  expect(await stage.call('connect', 'x', TWO)).toBe(0);
  await stage.close('x');
  await sleep(LAPSED);
  expect(await stage.call('connect', 'x', TWO)).toBe(EPERM);
  await end(stage);
});

test.concurrent('names of /etc/hosts hold for the whole run', async () => {
  const stage = await open();
  await sleep(LAPSED);
  expect(await stage.call('connect', 'x', '127.0.0.1')).toBe(0);
  const [call] = calls(await end(stage), '127.0.0.1');
  expect(call?.destination?.names).toContain('localhost');
});

describe('where there is no room', () => {
  const SERVFAIL = 2;

  test.concurrent.for([
    ['of all addresses', { chains: 2 }, ['a', 'b', 'c'], 'learned addresses full'],
    ['at one address', { chainsOfAddress: 1 }, ['b', 'a', 'c'], 'too many names of one address'],
  ] as const)('%s, a lookup fails, is counted, and what is known stays', async ([, limit, names, cause]) => {
    const stage = await open({ ...QUICK, ...limit, cap: 10_000, floor: 10_000 });
    const rcodes: number[] = [];
    for (const name of names) rcodes.push((await stage.resolve(`${name}.ok.example`)).rcode);
    expect(rcodes).toEqual([0, 0, SERVFAIL]);
    expect((await stage.resolve(`${names[0]}.ok.example`)).rcode).toBe(0);
    for (const address of [ONE, TWO]) expect(await stage.call('connect', address, address)).toBe(0);
    const events = await end(stage, { [cause]: 1 });
    for (const call of [...calls(events, ONE), ...calls(events, TWO)])
      expect(call.destination?.names).not.toContain('c.ok.example');
  });

  test.concurrent('there is again, once something has lapsed', async () => {
    const stage = await open({ ...QUICK, chains: 1 });
    expect((await stage.resolve('a.ok.example')).rcode).toBe(0);
    expect((await stage.resolve('b.ok.example')).rcode).toBe(SERVFAIL);
    await sleep(LAPSED);
    expect((await stage.resolve('b.ok.example')).rcode).toBe(0);
    expect(await stage.call('connect', 'x', TWO)).toBe(0);
    await end(stage, { 'learned addresses full': 1 });
  });
});

test.skipIf(process.env.LONG === undefined)(
  "the product's own times: five seconds and a minute (70 s: only with LONG=1)",
  { timeout: 120_000 },
  async () => {
    const stage = await open(LEASE_SETTINGS);
    await stage.resolve('a.ok.example');
    await stage.resolve('b.ok.example');
    await sleep(63_000);
    expect(await stage.call('connect', 'x', ONE)).toBe(0);
    await sleep(5500);
    expect(await stage.call('connect', 'y', ONE)).toBe(0);
    expect(await stage.call('connect', 'z', TWO)).toBe(EPERM);
    await end(stage);
  },
);

test.concurrent('audit: the same leases, and nothing is changed by them', async () => {
  const { d } = POLICY.deployments;
  const stage = await open(QUICK, { ...POLICY, deployments: { d: { ...d, mode: 'audit' } } });
  const outcome: number[] = [];
  const call = async (key: string) => outcome.push(await stage.call('connect', key, ONE));
  await call('first');
  await stage.tell('close first');
  await stage.resolve('a.ok.example');
  await call('second');
  await sleep(LAPSED);
  await call('third');
  for (const key of ['second', 'third']) await stage.close(key);
  await sleep(QUICK.grace / 2);
  await call('fourth');
  await stage.close('fourth');
  await sleep(LAPSED);
  await call('fifth');
  expect(outcome).toEqual([0, 0, 0, 0, 0]);
  const names = calls(await end(stage), ONE).map(({ destination }) => destination?.names);
  expect(names).toEqual([[], ['a.ok.example'], ['a.ok.example'], ['a.ok.example'], []]);
});
