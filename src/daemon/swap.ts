import type { LoadedPolicy } from '../guard/policy-files.ts';
import { pause } from '../guard/slices.ts';
import type { LiveEntry } from '../policy/live.ts';
import type { HostedRun } from './hosted-run.ts';
import { Planner } from './planner.ts';
import { keepPolicy } from './run-record.ts';

/** What became of a change of policy. */
export interface SwapResult {
  /** Runs that go by it now. */
  readonly swapped: number;
  /** Those that go on under the policy before, and why. */
  readonly failed: readonly { readonly id: string; readonly reason: string }[];
}

/**
 * Puts a policy in force, with live entries, for every run that had one, one run after the other and each in one step. A
 * run that observes goes on observing; one that ends meanwhile is left out.
 */
export async function swapEach(
  runs: Iterable<HostedRun>,
  loaded: LoadedPolicy,
  live: readonly LiveEntry[],
): Promise<SwapResult> {
  const failed: { id: string; reason: string }[] = [];
  let swapped = 0;
  keepPolicy(loaded);
  const planner = new Planner(live);
  for (const run of runs) {
    if (run.plan.policyId === null) continue;
    await pause();
    try {
      const { plan, rows } = planner.plan(loaded, run.options.asked);
      if (await run.swap(plan, live, rows)) swapped += 1;
      else if (!run.isEnding)
        failed.push({ id: run.id, reason: 'the tables of the kernel have no room for it' });
    } catch (error) {
      failed.push({ id: run.id, reason: (error as Error).message });
    }
  }
  return { swapped, failed };
}
