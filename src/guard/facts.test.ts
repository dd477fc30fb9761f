import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Connection } from '../kernel/connections.ts';
import type { Name } from '../model/name.ts';
import { compile } from '../policy/compile.ts';
import { Facts } from './facts.ts';
import { LEASE_SETTINGS, type LeaseSettings } from './lease-settings.ts';

const RUN = 7n;
const A = '192.0.2.1';
const B = '2001:db8::1';
const options = { deployment: null, allow: [], deny: [], default: null, mode: null, now: new Date(0) };
const policy = compile(null, { ...options, ownAddresses: [] });

let now = 0;
let latestFact = 0;
let connections: Connection[] = [];
beforeEach(() => {
  now = 1_000_000;
  connections = [];
  latestFact = 0;
});

/** The bookkeeping alone: what is in the kernel is for test/kernel/leases.test.ts. */
function makeFacts(settings: Partial<LeaseSettings> = {}): Facts {
  return new Facts({
    table: null,
    aliases: null,
    policy,
    run: RUN,
    connections: () => connections,
    nextFact: () => ++latestFact,
    now: () => now,
    settings: { ...LEASE_SETTINGS, ...settings },
  });
}

/** Lets seconds go by, and forgets what has lapsed. */
function wait(facts: Facts, seconds: number): void {
  now += seconds * 1000;
  while (facts.lapse());
}

describe('a name leads to an address', () => {
  test.for([
    ['for its TTL and a minute', 30, 90],
    ['for five seconds and a minute, if its TTL is shorter', 0, 65],
    ['for a day and a minute, if its TTL is longer', 1_000_000, 86_460],
  ] as const)('%s', ([, ttl, lasts]) => {
    const facts = makeFacts();
    facts.learn(A, ['a.example'], ttl);
    wait(facts, lasts - 1);
    expect(facts.namesAt(A)).toEqual(['a.example']);
    wait(facts, 1);
    expect(facts.namesAt(A)).toEqual([]);
  });

  test('for a minute after its last use', () => {
    const facts = makeFacts();
    facts.learn(A, ['a.example'], 5);
    wait(facts, 50);
    facts.use(A, now);
    wait(facts, 59);
    expect(facts.namesAt(A)).toEqual(['a.example']);
    wait(facts, 1);
    expect(facts.namesAt(A)).toEqual([]);
  });

  test('for as long as a socket of the run is connected to it, and a minute', () => {
    const facts = makeFacts();
    facts.learn(A, ['a.example'], 5);
    connections = [{ run: RUN, address: A, fact: 0 }];
    wait(facts, 100_000);
    wait(facts, 59);
    expect(facts.namesAt(A)).toEqual(['a.example']);
    connections = [];
    wait(facts, 60);
    expect(facts.namesAt(A)).toEqual([]);
  });

  test('not for the connections of another run', () => {
    const facts = makeFacts();
    facts.learn(A, ['a.example'], 5);
    connections = [{ run: RUN + 1n, address: A, fact: 0 }];
    wait(facts, 65);
    expect(facts.namesAt(A)).toEqual([]);
  });

  test('again, when it is answered again', () => {
    const facts = makeFacts();
    facts.learn(A, ['a.example'], 5);
    wait(facts, 60);
    facts.learn(A, ['a.example'], 100);
    facts.learn(A, ['a.example'], 5);
    wait(facts, 159);
    expect(facts.namesAt(A)).toEqual(['a.example']);
    wait(facts, 1);
    expect(facts.namesAt(A)).toEqual([]);
    facts.learn(A, ['a.example'], 5);
    expect(facts.namesAt(A)).toEqual(['a.example']);
  });

  test('for the whole run, if /etc/hosts says so', () => {
    const facts = makeFacts();
    facts.learn(A, ['a.example'], 5);
    facts.know(A, ['b.example', 'b']);
    facts.know('127.0.0.1', ['a.example']);
    facts.learn('127.0.0.1', ['a.example'], 5);
    wait(facts, 10_000_000);
    expect(facts.chainsAt(A)).toEqual([['b.example'], ['b']]);
    expect(facts.namesAt('127.0.0.1')).toEqual(['a.example']);
  });

  test('by way of `0.0.0.0`, which is loopback', () => {
    const facts = makeFacts();
    facts.learn('0.0.0.0', ['a.example'], 5);
    facts.learn('::', ['b.example'], 5);
    expect(facts.namesAt('127.0.0.1')).toEqual(['a.example']);
    expect(facts.namesAt('::1')).toEqual(['b.example']);
    expect(facts.namesAt('0.0.0.0')).toEqual(['a.example']);
  });
});

test('each chain has a time of its own', () => {
  const facts = makeFacts();
  facts.learn(A, ['a.example', 'cdn.example'], 5);
  facts.learn(A, ['b.example', 'cdn.example'], 100);
  facts.learn(B, ['a.example', 'cdn.example'], 100);
  expect(facts.chainsAt(A)).toEqual([
    ['a.example', 'cdn.example'],
    ['b.example', 'cdn.example'],
  ]);
  expect(facts.namesAt(A)).toEqual(['a.example', 'b.example', 'cdn.example']);
  wait(facts, 65);
  expect(facts.chainsAt(A)).toEqual([['b.example', 'cdn.example']]);
  expect(facts.chainsAt(B)).toEqual([['a.example', 'cdn.example']]);
});

test('the names of a crowded address lapse late, by twenty seconds at most, and not early', () => {
  const facts = makeFacts();
  for (let i = 0; i < 1000; i++) facts.learn(A, [`n${i}.example`], 10 + i / 10);
  for (let second = 0; second < 200; second++) {
    wait(facts, 1);
    const held = facts.chainsAt(A).length;
    const alive = (at: number) => Math.min(1000, Math.max(0, 1000 - (at - 70) * 10));
    expect(held).toBeGreaterThanOrEqual(alive(second + 1) - 1);
    expect(held).toBeLessThanOrEqual(alive(second + 1 - 21));
  }
  expect(facts.chainsAt(A)).toEqual([]);
});

describe('a fact that is no longer in force', () => {
  /** Its number, as the kernel would have it. */
  const superseded = (facts: Facts) => {
    facts.learn(A, ['a.example'], 100);
    facts.learn(A, ['b.example'], 100);
    return 1;
  };

  test('says what it said, for as long as a record of it may be unread', () => {
    const facts = makeFacts();
    const fact = superseded(facts);
    wait(facts, 15);
    expect(facts.chainsOf(fact)).toEqual([['a.example']]);
    expect(facts.chainsOf(fact + 1)).toEqual([['a.example'], ['b.example']]);
    wait(facts, 1000);
    expect(facts.chainsAt(A)).toEqual([]);
    // The latter was in force until now.
    expect(facts.chainsOf(fact)).toEqual([]);
    expect(facts.namesOf(fact + 1)).toEqual(['a.example', 'b.example']);
    wait(facts, 20);
    wait(facts, 20);
    expect(facts.namesOf(fact + 1)).toEqual([]);
  });

  test('says it for as long as a socket has it on record, and a while', () => {
    const facts = makeFacts();
    const fact = superseded(facts);
    connections = [{ run: RUN, address: A, fact }];
    for (let i = 0; i < 100; i++) wait(facts, 10);
    expect(facts.namesOf(fact)).toEqual(['a.example']);
    connections = [];
    wait(facts, 10);
    expect(facts.namesOf(fact)).toEqual(['a.example']);
    wait(facts, 10);
    expect(facts.namesOf(fact)).toEqual([]);
  });
});

describe('what finds no room is not learned, and is counted', () => {
  test('at one address', () => {
    const facts = makeFacts({ chainsOfAddress: 3 });
    facts.know(A, ['host', 'host.example', 'other.example', 'more.example']);
    const learned = ['a', 'b', 'c', 'd', 'e'].map((name) => facts.learn(A, [name], 5));
    expect(learned).toEqual([true, true, true, false, false]);
    expect(facts.learn(A, ['a'], 5)).toBe(true);
    expect(facts.learn(B, ['d'], 5)).toBe(true);
    expect(facts.lost).toEqual({ 'too many names of one address': 2 });
    expect(facts.namesAt(A)).not.toContain('d');
    wait(facts, 65);
    expect(facts.learn(A, ['d'], 5)).toBe(true);
  });

  test('of all addresses', () => {
    const facts = makeFacts({ chains: 10 });
    const learn = (i: number) => facts.learn(`10.0.0.${i}`, ['a.example'], i < 5 ? 5 : 50);
    expect(Array.from({ length: 12 }, (_, i) => learn(i))).toEqual([...Array(10).fill(true), false, false]);
    expect(facts.namesAt('10.0.0.10')).toEqual([]);
    wait(facts, 65);
    expect(Array.from({ length: 6 }, (_, i) => learn(20 + i))).toEqual([...Array(5).fill(true), false]);
    expect(facts.lost).toEqual({ 'learned addresses full': 3 });
  });

  test('of all addresses, and as many again when they have lapsed', () => {
    const facts = makeFacts({ chains: 10 });
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 10; i++) expect(facts.learn(`10.0.0.${i}`, ['a.example'], 5)).toBe(true);
      wait(facts, 65);
    }
  });

  test('by its length', () => {
    const facts = makeFacts({ text: 1000 });
    const long = (i: number) => [`${'x'.repeat(60)}.${i}`, 'y'.repeat(37)];
    const learned = Array.from({ length: 12 }, (_, i) => facts.learn(A, long(i), 5));
    expect(learned.filter(Boolean)).toHaveLength(10);
    expect(facts.lost).toEqual({ 'learned addresses full': 2 });
  });

  test('by the facts it makes, until they are forgotten', () => {
    const facts = makeFacts({ chains: 10, floor: 0, grace: 0 });
    let learned = 0;
    // Chains that lapse at once leave a fact behind each, for a while.
    for (let i = 0; i < 60; i++) {
      if (facts.learn(A, [`n${i}`], 1)) learned++;
      wait(facts, 0.25);
    }
    expect(learned).toBeLessThan(60);
    expect(learned).toBeGreaterThan(6);
    expect(facts.lost).toEqual({ 'learned addresses full': 60 - learned });
    for (let i = 0; i < 10; i++) wait(facts, 10);
    expect(facts.learn(A, ['late'], 1)).toBe(true);
  });
});

test('when it cannot be seen who is connected, nothing lapses, and that is counted', () => {
  const facts = makeFacts();
  facts.learn(A, ['a.example'], 5);
  const seen = connections;
  Object.defineProperty(seen, 'filter', {
    value: () => {
      throw new Error('no memory');
    },
  });
  wait(facts, 65);
  wait(facts, 65);
  expect(facts.namesAt(A)).toEqual(['a.example']);
  expect(facts.lost).toEqual({ 'leases not looked at': 2 });
  connections = [];
  latestFact = 0;
  wait(facts, 1);
  expect(facts.namesAt(A)).toEqual([]);
});

const ADDRESSES = [A, B, '10.0.0.1'];
const CHAINS: Name[][] = [['a'], ['a', 'c'], ['b'], ['b', 'c'], ['d', 'c', 'e']];
const address = fc.constantFrom(...ADDRESSES);
const step = fc.oneof(
  fc.record({
    do: fc.constant('learn' as const),
    address,
    chain: fc.constantFrom(...CHAINS),
    ttl: fc.constantFrom(0, 3, 20, 100),
  }),
  fc.record({ do: fc.constant('know' as const), address, name: fc.constantFrom('h', 'i') }),
  fc.record({ do: fc.constantFrom('use' as const, 'open' as const, 'close' as const), address }),
  fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(1, 5, 30, 59, 60, 61, 65, 200) }),
);

/** The rule (docs/policy.md), by the history alone. */
class Model {
  readonly #chains = new Map<string, Map<string, number>>(ADDRESSES.map((one) => [one, new Map()]));
  readonly #used = new Map<string, number>();
  readonly open: string[] = [];

  learn(at: string, chain: readonly Name[], end: number): void {
    const chains = this.#chains.get(at);
    const text = chain.join(' ');
    chains?.set(text, Math.max(end, chains.get(text) ?? 0));
  }

  use(at: string): void {
    this.#used.set(at, now);
  }

  lapse(): void {
    for (const one of this.open) this.use(one);
    for (const [at, chains] of this.#chains) {
      const used = this.#used.get(at) ?? 0;
      for (const [text, end] of chains) if (Math.max(end, used) + 60_000 <= now) chains.delete(text);
      // What is not known any more is not in use.
      if (chains.size === 0) this.#used.delete(at);
    }
  }

  chainsAt(at: string): string[] {
    return [...(this.#chains.get(at)?.keys() ?? [])].sort();
  }
}

test('no order of answers, uses, connections and waits makes a chain hold longer or shorter than the rule', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), (steps) => {
      now = 1_000_000;
      connections = [];
      const facts = makeFacts();
      const model = new Model();
      for (const one of steps) {
        if (one.do === 'learn') {
          facts.learn(one.address, one.chain, one.ttl);
          model.learn(one.address, one.chain, now + Math.max(5, one.ttl) * 1000);
        } else if (one.do === 'know') {
          facts.know(one.address, [one.name]);
          model.learn(one.address, [one.name], Number.POSITIVE_INFINITY);
        } else if (one.do === 'wait') {
          now += one.seconds * 1000;
          model.lapse();
          while (facts.lapse());
        } else {
          const open = model.open.indexOf(one.address);
          if (one.do === 'close' && open < 0) continue;
          if (one.do === 'close') model.open.splice(open, 1);
          if (one.do === 'open') model.open.push(one.address);
          // The kernel marks a call, and the end of a socket.
          facts.use(one.address, now);
          model.use(one.address);
          connections = model.open.map((to) => ({ run: RUN, address: to, fact: 0 }));
        }
        for (const at of ADDRESSES) {
          const known = facts.chainsAt(at).map((chain) => chain.join(' '));
          expect(known.sort()).toEqual(model.chainsAt(at));
          expect(facts.namesAt(at)).toEqual([...new Set(known.join(' ').split(' '))].filter(Boolean).sort());
        }
      }
    }),
    { numRuns: 1500 },
  );
});
