import type { Attachment as Attached } from '../guard/attachment.ts';
import type { GivenCommand } from '../guard/naming.ts';
import type { ProcessIdentity } from '../guard/registry.ts';
import type { Starter } from '../guard/run-guard.ts';
import type { AskedRun, RunPlan } from '../guard/run-plan.ts';
import type { FailOn } from '../guard/run-summary.ts';
import type { SeenDestinations } from '../policy/seen.ts';

/** A run as the daemon has it, from what was asked. */
export interface HostedRunOptions {
  readonly plan: RunPlan;
  /** What was asked of the policy, so that it can be asked anew of another one; the mode stays. */
  readonly asked: AskedRun;
  /** The uid of who started it; null: nobody did. */
  readonly owner: number | null;
  /** The process that asked for it, and ends it; null: there is none. */
  readonly client: ProcessIdentity | null;
  readonly starter: Starter;
  /** An existing cgroup, in place of one of its own; `target` is as what it was asked for. */
  readonly attach?: Attached & { readonly target: string };
  /** What will run, where its files may be read with the daemon's rights; null: they may not. */
  readonly given: GivenCommand | null;
  /** The command as it was given, without its secrets. */
  readonly command: readonly string[] | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly failOn: FailOn;
  readonly leftover: 'release' | 'kill';
  readonly syscalls: boolean;
  /** Of a run that is taken over it is not known any more, and so is not so. */
  readonly allowInherited?: boolean;
  /** What earlier runs called, where that is asked for. */
  readonly seen: SeenDestinations | null;
}
