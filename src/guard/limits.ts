import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Cgroup, createCgroup, moveProcess, processesIn } from '../kernel/cgroup.ts';
import { checkLimits, limitsIn, missingBelow, passOn, setLimits, takeOff } from '../kernel/limits.ts';
import type { Limits } from '../model/limits.ts';
import type { RunLimits } from '../model/summary.ts';
import { release, removeWhenEmpty } from './leftover.ts';

export interface LimitedRun {
  /** Of the run. */
  readonly id: string;
  /** The cgroup the run's own is in: as a rule the one the run was started from. */
  readonly parent: Cgroup;
  readonly cgroup: Cgroup;
  readonly limits: Limits;
  /** The process that asked for the run: where it is alone in `parent`, it steps aside. Null: it is not there. */
  readonly mover: number | null;
}

/** Limits of a run, in force. */
export interface ImposedLimits {
  /** What they did so far. */
  read(): RunLimits;
  /** Takes them off, so that `parent` can hold processes again. Twice is harmless. */
  lift(): Promise<void>;
}

/**
 * Limits a run before its command starts, or throws SetupFailure `no-limits` and leaves all as it was. Where
 * `parent` is not the root and passes the controllers on, the kernel lets no process be in it: the one that asked
 * waits in a cgroup beside the run's (docs/decisions/limits.md).
 */
export async function imposeLimits({
  id,
  parent,
  cgroup,
  limits,
  mover,
}: LimitedRun): Promise<ImposedLimits> {
  const wanted = limitsIn(limits);
  checkLimits(parent, wanted, mover);
  const missing = missingBelow(parent, wanted);
  const lift = () => liftLimits(id, parent.path, cgroup.path);
  try {
    if (missing.length > 0 && parent.level > 0 && mover !== null)
      stepAside(parent, mover, createCgroup(parent, asideName(id)).path);
    if (missing.length > 0) passOn(parent, missing);
    const set = setLimits(cgroup, limits);
    return { read: set.read, lift };
  } catch (error) {
    await lift();
    throw error;
  }
}

/** The limits of a run that has them already, by another process. */
export function keepLimits({ id, parent, cgroup, limits }: LimitedRun): ImposedLimits {
  const set = setLimits(cgroup, limits);
  return { read: set.read, lift: () => liftLimits(id, parent.path, cgroup.path) };
}

/**
 * Undoes what limits of a run changed in the cgroup it was started from. The root goes on passing controllers on,
 * as every systemd has it: others may have come to rely on them, and it holds processes all the same.
 */
export async function liftLimits(id: string, origin: string, cgroup: string): Promise<void> {
  const aside = join(origin, asideName(id));
  if (!existsSync(aside)) return;
  takeOff(origin, cgroup);
  await release(aside, origin);
  if (!(await removeWhenEmpty(aside))) throw new Error(`${aside} is still in use`);
}

/** Who asked, and is still where it asked from: the pid may be another's by now. */
function stepAside(parent: Cgroup, mover: number, aside: string): void {
  if (processesIn(parent.path).includes(mover)) moveProcess(mover, aside);
}

function asideName(id: string): string {
  return `acyclic-aside-${id}`;
}
