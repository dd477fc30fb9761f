import { mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ulid } from 'ulid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import { BPFFS, ensureBpffs } from '../../src/kernel/mounts.ts';
import { pinDirectory, removeEnginePins, removeLeftPins, runsOfOtherLayouts } from '../../src/kernel/pins.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';

const run = ulid();
const version = join(BPFFS, 'acyclic', 'v0');

beforeAll(() => {
  ensureBpffs();
  mkdirSync(join(version, run), { recursive: true });
  mkdirSync(join(version, 'engine'));
});
afterAll(() => {
  rmdirSync(join(version, 'engine'));
  removeLeftPins(run);
});

test('runs of another version are listed, and its engine is none', () => {
  expect(runsOfOtherLayouts()).toContain(run);
  expect(runsOfOtherLayouts()).not.toContain('engine');
});

test('programs of a cgroup that cannot be taken over stay where they are', async () => {
  const name = ulid();
  const cgroup = createCgroup(ownCgroup(), `acyclic-pins-${process.pid}`);
  const needs = { modes: ['audit'], closes: false } as const;
  const pins = pinDirectory(name);
  try {
    const before = await loadPrograms(['audit'], { pinned: true, journalPages: 1024 });
    before.attach(cgroup, name, needs);
    before.close();
    const pinned = readdirSync(pins).sort();
    // One is in the way of whoever takes them over.
    unlinkSync(join(pins, 'ingress'));
    mkdirSync(join(pins, 'ingress'));
    const after = await loadPrograms(['audit'], { pinned: true, journalPages: 1024 });
    expect(() => after.attach(cgroup, name, needs)).toThrow();
    after.close();
    expect(readdirSync(pins).sort()).toEqual(pinned);
  } finally {
    rmdirSync(join(pins, 'ingress'));
    removeLeftPins(name);
    removeEnginePins();
    removeCgroup(cgroup.path);
  }
});
