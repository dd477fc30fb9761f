import { expect, test } from 'vitest';
import { compile } from '../policy/compile.ts';
import type { FactChange } from './fact-file.ts';
import { Facts } from './facts.ts';

const options = { deployment: null, allow: [], deny: [], default: null, mode: null, now: new Date() };
const policy = compile(null, { ...options, ownAddresses: [] });
const ADDRESSES = ['10.0.0.0', '10.0.0.1', '10.0.0.2'];

test('what a run knows of addresses, and what its facts were, comes back from its changes', () => {
  let [now, latest] = [1000, 0];
  const make = (changes: FactChange[]) =>
    new Facts({
      ...{ table: null, aliases: null, policy, run: 1n, connections: () => [] },
      nextFact: () => ++latest,
      now: () => now,
      onChange: (change) => changes.push(change),
    });
  const changes: FactChange[] = [];
  const before = make(changes);
  const learn = (i: number, ttl: number) =>
    before.learn(ADDRESSES[i % 3] ?? '', [`n${i}.example`, 'alias.example'], ttl);
  for (let i = 0; i < 50; i++) learn(i, 5 + (i % 7));
  // Facts of one address share its chains: the file does not grow with the square of them.
  expect([...before.changes()].flatMap(({ chains }) => chains).length).toBe(50);
  now += 66_500;
  while (before.lapse());
  for (let i = 50; i < 60; i++) learn(i, 60);
  const told = (facts: Facts) => ({
    facts: Array.from({ length: latest + 1 }, (_, fact) => facts.chainsOf(fact)),
    known: ADDRESSES.map((address) => facts.chainsAt(address)),
  });

  const after = make([]);
  expect(after.restore(changes)).toBe(true);
  expect(told(after)).toEqual(told(before));
  const rewritten = [...after.changes()];
  const later = make([]);
  later.restore(rewritten);
  expect(told(later)).toEqual(told(before));
});
