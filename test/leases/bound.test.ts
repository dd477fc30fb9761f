import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AliasTable } from '../../src/guard/alias-table.ts';
import { FactTable } from '../../src/guard/fact-table.ts';
import { Facts } from '../../src/guard/facts.ts';
import { LEASE_SETTINGS } from '../../src/guard/lease-settings.ts';
import { readConnections } from '../../src/kernel/connections.ts';
import * as layout from '../../src/kernel/layout.gen.ts';
import { native } from '../../src/kernel/native.ts';
import { loadPrograms, type Programs } from '../../src/kernel/programs.ts';
import { Tables } from '../../src/kernel/tables.ts';
import { compile } from '../../src/policy/compile.ts';
import { parsePolicy } from '../../src/policy/parse.ts';

/** LONG=1: a million names, under the product's limits. */
const LONG = process.env.LONG !== undefined;
const NAMES = LONG ? 1_000_000 : 60_000;
const SETTINGS = LONG ? LEASE_SETTINGS : { ...LEASE_SETTINGS, chains: 20_000 };
/** What docs/decisions/leases.md states. */
const BYTES_OF_CHAIN = 600;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

let programs: Programs;
let now = 1_000_000;
let runs = 0n;
let latestFact = 0;
beforeAll(async () => {
  programs = await loadPrograms(['enforce']);
});
afterAll(() => programs?.close());

function makeFacts(): Facts {
  const text =
    '{version: 1, deployments: {d: {circular: "off", allow: [{host: "*.example", ports: [5432]}]}}}';
  const options = { deployment: null, allow: [], deny: [], default: null, mode: null, now: new Date() };
  const policy = compile(parsePolicy([{ path: 'p', text }]).policy, { ...options, ownAddresses: [] });
  const tables = new Tables(programs);
  const run = ++runs;
  return new Facts({
    table: new FactTable({ tables, policy, policyElsewhere: policy, run, generation: Number(run) }),
    aliases: new AliasTable({ tables, policy, run, generation: Number(run) }),
    policy,
    run,
    connections: () => readConnections(programs),
    nextFact: () => ++latestFact,
    now: () => now,
    settings: SETTINGS,
  });
}

function entries(map: string, { size }: { size: number }): number {
  return native().mapKeys(programs.map(map), 1 << 21).length / size;
}

function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

const addressOf = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
const nameOf = (i: number) => [`host-${i}.some.example`];

test(`${NAMES} names at one time: up to the limit, and the rest is refused and counted`, {
  timeout: 600_000,
}, () => {
  const before = heap();
  const facts = makeFacts();
  let learned = 0;
  for (let i = 0; i < NAMES; i++) if (facts.learn(addressOf(i), nameOf(i), 60)) learned++;
  expect(learned).toBe(SETTINGS.chains);
  expect(facts.lost).toEqual({ 'learned addresses full': NAMES - learned });
  expect(entries('facts', layout.factKey)).toBe(learned);
  expect(entries('fact_entries', layout.factEntryKey)).toBe(learned);
  expect(heap() - before).toBeLessThan(learned * BYTES_OF_CHAIN);
  // What is known is renewed all the same, and is there.
  expect(facts.learn(addressOf(0), nameOf(0), 60)).toBe(true);
  expect(facts.namesAt(addressOf(learned - 1))).toEqual(nameOf(learned - 1));
  now += 200_000;
  while (facts.lapse());
  expect(entries('facts', layout.factKey)).toBe(0);
  for (let i = 0; i < 2; i++) {
    now += 11_000;
    while (facts.lapse());
  }
  expect(entries('fact_entries', layout.factEntryKey)).toBe(0);
  expect(heap() - before).toBeLessThan(5e6);
});

test(`${NAMES} names one after another: all are learned, and what lapses makes room`, {
  timeout: 600_000,
}, () => {
  const before = heap();
  const facts = makeFacts();
  // As many live at a time as half the limit: each for 30 seconds and a minute.
  const apart = 90_000 / (SETTINGS.chains / 2);
  let most = 0;
  for (let i = 0; i < NAMES; i++) {
    expect(facts.learn(addressOf(i), nameOf(i), 30)).toBe(true);
    now += apart;
    if (i % 1000 === 0) while (facts.lapse());
    if (i % Math.floor(NAMES / 20) === 0) most = Math.max(most, heap() - before);
  }
  expect(facts.lost).toEqual({});
  expect(entries('facts', layout.factKey)).toBeLessThan(SETTINGS.chains * 0.6);
  expect(entries('fact_entries', layout.factEntryKey)).toBeLessThan(SETTINGS.chains);
  expect(most).toBeLessThan(SETTINGS.chains * BYTES_OF_CHAIN);
});

test('names of one address: up to its limit', { timeout: 600_000 }, () => {
  const before = heap();
  const facts = makeFacts();
  const { chainsOfAddress } = SETTINGS;
  const others = [entries('facts', layout.factKey), entries('fact_entries', layout.factEntryKey)];
  let learned = 0;
  for (let i = 0; i < chainsOfAddress + 1000; i++) if (facts.learn('192.0.2.1', nameOf(i), 3600)) learned++;
  expect(learned).toBe(chainsOfAddress);
  expect(facts.lost).toEqual({ 'too many names of one address': 1000 });
  for (let i = 0; i < 3; i++) {
    now += 11_000;
    while (facts.lapse());
  }
  const all = [entries('facts', layout.factKey), entries('fact_entries', layout.factEntryKey)];
  expect(all).toEqual(others.map((count) => count + 1));
  expect(heap() - before).toBeLessThan(chainsOfAddress * BYTES_OF_CHAIN);
  expect(facts.namesAt('192.0.2.1')).toHaveLength(chainsOfAddress);
});
