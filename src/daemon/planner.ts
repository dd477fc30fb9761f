import type { LoadedPolicy } from '../guard/policy-files.ts';
import { PolicyRows } from '../guard/reign.ts';
import { type AskedRun, planRun, type RunPlan } from '../guard/run-plan.ts';
import type { LiveEntry } from '../policy/live.ts';

/** A plan, and what the tables of its policy say. */
export interface Planned {
  readonly plan: RunPlan;
  readonly rows: PolicyRows;
}

/** Plans many runs at a time, with the same live entries: those that ask a policy for the same only once. */
export class Planner {
  readonly #live: readonly LiveEntry[];
  readonly #known = new Map<string, Planned>();

  constructor(live: readonly LiveEntry[]) {
    this.#live = live;
  }

  /** The id of the plan is of no run. Throws CompileFailure. */
  plan(loaded: LoadedPolicy | null, { now, ...asked }: AskedRun): Planned {
    const policies = loaded ? [loaded, ...loaded.staged.values()] : [];
    const untils = policies.flatMap(({ policy }) =>
      [...policy.deployments.values()].flatMap(({ waivers }) => waivers.map(({ until }) => until.end)),
    );
    // Of the time a run began it matters which waivers were in force.
    const waived = untils.map((end) => now.getTime() < end);
    const key = JSON.stringify([policies.map(({ id }) => id), { ...asked, live: [] }, waived]);
    const before = this.#known.get(key);
    if (before) return before;
    const plan = planRun(loaded, { ...asked, now, live: this.#live }, () => {});
    const planned = {
      plan,
      rows: new PolicyRows({ policy: plan.policy, policyElsewhere: plan.elsewhere }),
    };
    this.#known.set(key, planned);
    return planned;
  }
}
