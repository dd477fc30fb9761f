import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { ulid } from 'ulid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BPFFS, ensureBpffs } from '../../src/kernel/mounts.ts';
import { removeLeftPins, runsOfOtherLayouts } from '../../src/kernel/pins.ts';

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
