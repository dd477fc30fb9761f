import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Clock } from '../../src/guard/clock.ts';
import { Engine } from '../../src/guard/engine.ts';
import type { GuardedRun } from '../../src/guard/guarded-run.ts';
import { atOnce } from '../../src/guard/slices.ts';
import { clearLeft } from '../../src/kernel/garbage.ts';
import * as layout from '../../src/kernel/layout.gen.ts';
import { ensureBpffs } from '../../src/kernel/mounts.ts';
import { native } from '../../src/kernel/native.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';
import { guardedRun, policyOf } from './engine-stage.ts';

const TABLES = ['runs', 'run_losses', 'addresses', 'ports', 'facts', 'fact_entries', 'names', 'chains'];
const RULES = 4000;
const KNOWN = 2000;
const RUN = 4711n;
/** More than a table holds. */
const MORE = (1 << 20) + 1;

let engine: Engine;
let run: GuardedRun;
beforeAll(async () => {
  ensureBpffs();
  engine = new Engine(await loadPrograms(['enforce']), new Clock(() => native().clocks()));
});
afterEach(async () => {
  await engine.remove(run);
  expect(entries()).toEqual({});
});
afterAll(() => engine.close());

/** Keys of each table, where there are any. */
function entries(): Record<string, number> {
  const counts = TABLES.map((name) => [name, keysOf(name).length] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

function keysOf(name: string): Buffer[] {
  const map = engine.programs.map(name);
  const { keySize } = native().mapInfo(map);
  const keys = native().mapKeys(map, MORE);
  return Array.from({ length: keys.length / keySize }, (_, i) =>
    keys.subarray(i * keySize, (i + 1) * keySize),
  );
}

/** A large policy that denies what one name leads to. */
function policyThatDenies(denied: string) {
  const rules = Array.from({ length: RULES }, (_, i) =>
    i % 2
      ? `{host: h${i}.example, ports: [${1000 + (i % 30)}]}`
      : `{address: 10.${i >> 8}.${i & 255}.0/24, ports: [443]}`,
  );
  return policyOf(
    `{circular: "off", default: allow, deny: [{host: ${denied}}], allow: [${rules.join(', ')}]}`,
    denied,
  );
}

const [ONE, OTHER] = [policyThatDenies('one.test'), policyThatDenies('other.test')];
const address = (i: number) => `192.0.${i >> 8}.${i & 255}`;
const nameOf = (i: number) => (i % 2 ? 'one.test' : 'other.test');

async function begin(policy = ONE): Promise<void> {
  run = await guardedRun(engine, { path: '/none', id: RUN, level: 3 }, policy);
  engine.add(run);
  for (let i = 0; i < KNOWN; i++) run.lookups.facts.learn(address(i), [nameOf(i)], 60);
}

function generation(): number {
  const key = Buffer.alloc(8);
  key.writeBigUInt64LE(RUN);
  const state = native().mapLookup(engine.programs.map('runs'), key);
  return state?.readUInt32LE(layout.runState.generation.offset) ?? 0;
}

/** What the kernel says of an address under the policy in force. */
function said(of: string): string {
  const key = Buffer.alloc(layout.factEntryKey.size);
  key.writeUInt32LE(generation(), layout.factEntryKey.generation.offset);
  key.writeUInt32LE(engine.tables.factAt(RUN, of), layout.factEntryKey.fact.offset);
  const entry = native().mapLookup(engine.programs.map('fact_entries'), key);
  if (!entry) return 'nothing';
  return (entry.readUInt32LE(layout.entry.decision.offset) & 3) === layout.decision.DECISION_DENY
    ? 'deny'
    : 'allow';
}

test('what is learned while the tables of a policy are written is judged by it', {
  timeout: 60_000,
}, async () => {
  await begin();
  const { facts } = run.lookups;
  expect([said(address(1)), said(address(2))]).toEqual(['deny', 'allow']);
  let swapped: boolean | null = null;
  const swapping = run.swap(OTHER).then((done) => {
    swapped = done;
  });
  const learned: [string, string][] = [];
  const aliases = new Set<string>();
  let turns = 0;
  for (; swapped === null; turns++) {
    const fresh = `198.51.${(turns >> 8) & 255}.${turns & 255}`;
    const known = (turns * 7) % KNOWN;
    facts.learn(fresh, [nameOf(turns)], 60);
    // By that it has another fact.
    facts.learn(address(known), ['alias.test', nameOf(known)], 60);
    learned.push([fresh, turns % 2 ? 'allow' : 'deny']);
    aliases.add(address(known));
    await turn();
  }
  await swapping;
  expect(swapped).toBe(true);
  expect(turns).toBeGreaterThan(5);
  const known = Array.from({ length: KNOWN }, (_, i) => [address(i), i % 2 ? 'allow' : 'deny'] as const);
  const wanted = new Map([...known, ...learned]);
  const wrong = [...wanted].filter(([of, answer]) => said(of) !== answer);
  expect(wrong).toEqual([]);
  // Aliases of what was learned meanwhile are there under the new policy as well, where it speaks of them.
  const chains = keysOf('chains').filter(
    (key) => key.readUInt32LE(layout.chainKey.generation.offset) === generation(),
  );
  const denied = known.filter(([of, answer]) => answer === 'deny' && aliases.has(of));
  expect(chains).toHaveLength(denied.length);
});

test('one for which there is no room leaves the one before in force, and nothing of itself', {
  timeout: 60_000,
}, async () => {
  await begin();
  const before = { ...entries(), generation: generation() };
  const free = MORE - 1 - keysOf('fact_entries').length - KNOWN / 2;
  const keys = Buffer.alloc(free * layout.factEntryKey.size);
  for (let i = 0; i < free; i++)
    keys.writeUInt32LE(i + 1, i * layout.factEntryKey.size + layout.factEntryKey.elsewhere.offset);
  const map = engine.programs.map('fact_entries');
  native().mapUpdateBatch(map, keys, Buffer.alloc(free * layout.entry.size), free);
  expect(await run.swap(OTHER)).toBe(false);
  native().mapDeleteBatch(map, keys, free);
  expect({ ...entries(), generation: generation() }).toEqual(before);
  expect([said(address(1)), said(address(2)), run.lookups.policy]).toEqual(['deny', 'allow', ONE.policy]);
  // What is learned from now on is judged by the one before, and a swap that finds room succeeds.
  run.lookups.facts.learn('198.51.100.1', ['one.test'], 60);
  expect(said('198.51.100.1')).toBe('deny');
  expect(await run.swap(OTHER)).toBe(true);
  expect(said('198.51.100.1')).toBe('allow');
});

test('a run that ends meanwhile leaves nothing, and has no other policy put in force', {
  timeout: 60_000,
}, async () => {
  for (const turns of [0, 1, 3]) {
    await begin();
    const swapping = run.swap(OTHER);
    for (let i = 0; i < turns; i++) await turn();
    await engine.remove(run);
    expect(await swapping).toBe(false);
    expect(entries()).toEqual({});
  }
});

test('nor has one that is observed, whose policy has no tables to write', async () => {
  await begin(policyOf('{mode: audit}', 'before'));
  const swapping = run.swap(policyOf('{mode: audit}', 'after'));
  await engine.remove(run);
  expect(await swapping).toBe(false);
});

test('of two at once the later one is in force, however soon it is written', {
  timeout: 60_000,
}, async () => {
  await begin();
  const small = policyOf('{circular: "off", default: allow, deny: [{host: one.test}]}', 'small');
  expect(await Promise.all([run.swap(OTHER), run.swap(small)])).toEqual([true, true]);
  expect([said(address(1)), said(address(2)), run.lookups.policy]).toEqual(['deny', 'allow', small.policy]);
});

test('of what an engine that is gone has left all goes but what a run stands on', async () => {
  await begin();
  const before = entries();
  expect(before.addresses).toBeGreaterThan(RULES / 4);
  const all = { generations: generation(), profiles: MORE, places: MORE };
  atOnce(clearLeft(engine.programs, all, { own: new Set(), others: new Set([RUN]) }));
  expect(entries()).toEqual(before);
  atOnce(clearLeft(engine.programs, all, { own: new Set(), others: new Set() }));
  expect(entries()).toEqual({});
});
