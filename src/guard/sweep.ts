import { existsSync } from 'node:fs';
import { isThere, processesIn } from '../kernel/cgroup.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import { removeLeftPins } from '../kernel/pins.ts';
import { kill, release, removeWhenEmpty } from './leftover.ts';
import { liftLimits } from './limits.ts';
import { isAlive, type RunEntry, readEntries, removeEntry } from './registry.ts';

/** What became of a run whose engine was killed. */
export interface Swept {
  readonly id: string;
  /**
   * `guarded`: its command still runs, and stays under its last policy; lookups fail until it ends. `unguarded`: its
   * command still runs, where it was started from.
   */
  readonly state: 'cleared' | 'guarded' | 'unguarded' | 'stuck';
  readonly processes: readonly number[];
  /** It was no run: Acyclic was attached to a cgroup that is not its own. */
  readonly attached: boolean;
}

/**
 * Clears what killed engines left: cgroup, pins, entry. A run whose command lives is left as it is, guarded
 * by its pinned programs, and what a daemon guarded is left to the next daemon, unless all guards are to be taken off
 * (`all`); once the command has ended, what remains is released or killed as the run asked. Runs whose cgroups cannot be
 * seen from here are left alone: nobody can tell whether they are empty. `untaken`: of a daemon's, those that the next one
 * could not take over. Throws SetupFailure `no-cgroup2`.
 */
export async function sweep(
  which: 'ended' | 'all' = 'ended',
  untaken: ReadonlySet<string> = new Set(),
): Promise<Swept[]> {
  const visible = `${findCgroup2()}/`;
  const swept: Swept[] = [];
  for (const entry of readEntries()) {
    if (entry.hosted && which === 'ended' && !untaken.has(entry.id)) continue;
    if (entry.cgroup.startsWith(visible) && !isAlive(entry.engine))
      swept.push(await clear(entry, which === 'all'));
  }
  return swept;
}

/**
 * A run on file as it is at this moment, left as it is. `engine`: by the engine that started it; `guarded`: as above;
 * `ended`: only its remains are there, for the next sweep; null: that cannot be told from here.
 */
export function standingOf(entry: RunEntry): 'engine' | 'guarded' | 'ended' | null {
  if (isAlive(entry.engine)) return 'engine';
  if (!existsSync(entry.origin)) return null;
  if (entry.hosted) return existsSync(entry.cgroup) ? 'guarded' : 'ended';
  return goesOn(entry, processesIn(entry.cgroup)) ? 'guarded' : 'ended';
}

/** One that cannot be cleared is told, and is in nobody's way. */
async function clear(entry: RunEntry, all: boolean): Promise<Swept> {
  const about = { id: entry.id, attached: entry.attached !== undefined };
  const inside = processesIn(entry.cgroup);
  const going = goesOn(entry, inside);
  if (going && !all) return { ...about, state: 'guarded', processes: inside };
  try {
    // Whoever only loses its guard is not killed.
    const left = going ? 'release' : entry.leftover;
    const processes = entry.attached ? lift(entry) : await clearRun({ ...entry, leftover: left });
    if (processes)
      return { ...about, state: going ? 'unguarded' : 'cleared', processes: going ? inside : processes };
  } catch {
    // Told by its state: what stopped it is found where its cgroup and pins are.
  }
  return { ...about, state: 'stuck', processes: inside };
}

function goesOn(entry: RunEntry, inside: readonly number[]): boolean {
  return entry.attached ? isGuarding(entry) : mayBeRunning(entry, inside);
}

/** What was only watched is let go; what was guarded stays so until its cgroup is gone, or somebody lifts it. */
function isGuarding({ cgroup, attached }: RunEntry): boolean {
  return attached?.mode === 'enforce' && isThere({ path: cgroup, id: BigInt(attached.id) });
}

/** Takes the programs of an attach off whose engine is gone. */
export function lift({ id }: RunEntry): number[] {
  removeLeftPins(id);
  removeEntry(id);
  return [];
}

/** A command that was started and not yet put on file when the engine was killed may be any process inside. */
function mayBeRunning({ command }: RunEntry, inside: readonly number[]): boolean {
  if (!command) return inside.length > 0;
  return inside.includes(command.pid) && isAlive(command);
}

/** Ends a run's guard for good; null when its cgroup would not go. Returns whom it released or killed. */
async function clearRun(entry: RunEntry): Promise<number[] | null> {
  if (entry.leftover === 'kill') {
    const killed = await kill(entry.cgroup);
    removeLeftPins(entry.id);
    await liftLimits(entry.id, entry.origin, entry.cgroup);
    return (await finish(entry)) ? killed : null;
  }
  removeLeftPins(entry.id);
  await liftLimits(entry.id, entry.origin, entry.cgroup);
  const released = await release(entry.cgroup, entry.origin);
  return (await finish(entry)) ? released : null;
}

async function finish(entry: RunEntry): Promise<boolean> {
  if (!(await removeWhenEmpty(entry.cgroup))) return false;
  removeEntry(entry.id);
  return true;
}
