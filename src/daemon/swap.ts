import type { LoadedPolicy } from '../guard/policy-files.ts';
import { type AskedRun, planRun } from '../guard/run-plan.ts';
import type { HostedRun } from './hosted-run.ts';

/** A run and what it asked of the policy, so that it can be asked anew of another one. */
export interface Swappable {
  readonly run: HostedRun;
  readonly asked: AskedRun;
}

/** What became of a change of policy. */
export interface SwapResult {
  /** Runs that go by it now. */
  readonly swapped: number;
  /** Those that go on under the policy before, and why. */
  readonly failed: readonly { readonly id: string; readonly reason: string }[];
}

/** Puts a policy in force for every run that had one, each in one step. A run that observes goes on observing. */
export function swapEach(runs: Iterable<Swappable>, loaded: LoadedPolicy): SwapResult {
  const failed: { id: string; reason: string }[] = [];
  let swapped = 0;
  for (const { run, asked } of runs) {
    if (run.plan.policyId === null) continue;
    try {
      if (run.swap(planRun(loaded, asked, () => {}))) swapped += 1;
      else failed.push({ id: run.id, reason: 'the tables of the kernel have no room for it' });
    } catch (error) {
      failed.push({ id: run.id, reason: (error as Error).message });
    }
  }
  return { swapped, failed };
}
