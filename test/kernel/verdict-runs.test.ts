import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Harness } from './harness.ts';
import { expectAgreement } from './harness-agreement.ts';
import { type Case, cases } from './harness-cases.ts';
import { type Ground, makeGround } from './harness-dial.ts';

const RUNS = 10;
let ground: Ground;
const runs: Harness[] = [];

beforeAll(async () => {
  ground = await makeGround();
  while (runs.length < RUNS) runs.push(await Harness.start(ground));
});

afterAll(async () => {
  for (const run of runs) await run.stop();
  await ground?.close();
});

/** Makes the attempts of all at once. Agreement includes that no run's record holds another's attempt. */
async function expectAllAgree(examples: readonly Case[]): Promise<void> {
  const agreeing = runs.flatMap((run, i) => {
    const example = examples[i];
    return example ? [expectAgreement(run, example)] : [];
  });
  const settled = await Promise.allSettled(agreeing);
  for (const one of settled) if (one.status === 'rejected') throw one.reason;
}

test('ten runs at once, each under its own policy, are judged and recorded each by its own', async () => {
  const kinds = runs[0]?.kinds ?? [];
  const examples = fc.array(cases(kinds), { minLength: RUNS, maxLength: RUNS });
  await fc.assert(fc.asyncProperty(examples, expectAllAgree), { numRuns: 15 });
  for (const run of runs) expect(run.lost).toEqual({});
}, 120_000);

test('runs go on as they were when others end', async () => {
  for (const run of runs.splice(0, RUNS / 2)) await run.stop();
  const kinds = runs[0]?.kinds ?? [];
  const examples = fc.array(cases(kinds), { minLength: RUNS / 2, maxLength: RUNS / 2 });
  await fc.assert(fc.asyncProperty(examples, expectAllAgree), { numRuns: 5 });
}, 60_000);
