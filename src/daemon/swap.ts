import type { LoadedPolicy } from '../guard/policy-files.ts';
import { PolicyRows } from '../guard/reign.ts';
import { type AskedRun, planRun, type RunPlan } from '../guard/run-plan.ts';
import { pause } from '../guard/slices.ts';
import type { LiveEntry } from '../policy/live.ts';
import type { HostedRun } from './hosted-run.ts';
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
  const planOf = planning(loaded, live);
  for (const run of runs) {
    if (run.plan.policyId === null) continue;
    await pause();
    try {
      const { plan, rows } = planOf(run.options.asked);
      if (await run.swap(plan, live, rows)) swapped += 1;
      else if (!run.isEnding)
        failed.push({ id: run.id, reason: 'the tables of the kernel have no room for it' });
    } catch (error) {
      failed.push({ id: run.id, reason: (error as Error).message });
    }
  }
  return { swapped, failed };
}

/** Plans runs, those that ask for the same only once. */
function planning(loaded: LoadedPolicy, live: readonly LiveEntry[]) {
  const known = new Map<string, { plan: RunPlan; rows: PolicyRows }>();
  const policies = [loaded, ...loaded.staged.values()].map(({ policy }) => policy);
  const waivers = policies.flatMap(({ deployments }) =>
    [...deployments.values()].flatMap((of) => of.waivers),
  );
  return ({ now, ...asked }: AskedRun) => {
    // Of the time a run began it matters which waivers were in force.
    const waived = waivers.map(({ until }) => now.getTime() < until.end);
    const key = JSON.stringify([{ ...asked, live: [] }, waived]);
    const before = known.get(key);
    if (before) return before;
    const plan = planRun(loaded, { ...asked, now, live }, () => {});
    const planned = { plan, rows: new PolicyRows({ policy: plan.policy, policyElsewhere: plan.elsewhere }) };
    known.set(key, planned);
    return planned;
  };
}
