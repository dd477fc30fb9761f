import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Harness } from './harness.ts';
import { expectAgreement } from './harness-agreement.ts';
import { cases } from './harness-cases.ts';
import { type Ground, makeGround } from './harness-dial.ts';

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

const POLICIES = 1500;

test('the kernel and evaluate agree on generated policies, destinations and ways to call them', async () => {
  let attempts = 0;
  await fc.assert(
    fc.asyncProperty(cases(harness.kinds), async (example) => {
      attempts += example.attempts.length;
      await expectAgreement(harness, example);
    }),
    { numRuns: POLICIES },
  );
  expect(attempts).toBeGreaterThan(POLICIES * 6);
  expect(harness.lost).toEqual({});
}, 120_000);
