import { processesIn } from '../kernel/cgroup.ts';
import { pinDirectory, removePins } from '../kernel/programs.ts';
import { kill, release, removeWhenEmpty } from './leftover.ts';
import { isAlive, type RunEntry, readEntries, removeEntry } from './registry.ts';

/** What became of a run whose engine was killed. */
export interface Swept {
  readonly id: string;
  /** `guarded`: its command still runs, and stays under its last policy; lookups fail until it ends. */
  readonly state: 'cleared' | 'guarded' | 'stuck';
  readonly processes: readonly number[];
}

/**
 * Clears what killed engines left: cgroup, pins, entry. A run whose command lives is left as it is, guarded
 * by its pinned programs; once the command has ended, what remains is released or killed as the run asked.
 */
export async function sweep(): Promise<Swept[]> {
  const swept: Swept[] = [];
  for (const entry of readEntries()) if (!isAlive(entry.engine)) swept.push(await clear(entry));
  return swept;
}

async function clear(entry: RunEntry): Promise<Swept> {
  const inside = processesIn(entry.cgroup);
  if (entry.command && inside.includes(entry.command.pid) && isAlive(entry.command))
    return { id: entry.id, state: 'guarded', processes: inside };
  const processes = await clearRun(entry);
  return { id: entry.id, state: processes ? 'cleared' : 'stuck', processes: processes ?? inside };
}

/** Ends a run's guard for good; null when its cgroup would not go. Returns whom it released or killed. */
async function clearRun(entry: RunEntry): Promise<number[] | null> {
  if (entry.leftover === 'kill') {
    const killed = await kill(entry.cgroup);
    removePins(pinDirectory(entry.id));
    return (await finish(entry)) ? killed : null;
  }
  removePins(pinDirectory(entry.id));
  const released = await release(entry.cgroup, entry.origin);
  return (await finish(entry)) ? released : null;
}

async function finish(entry: RunEntry): Promise<boolean> {
  if (!(await removeWhenEmpty(entry.cgroup))) return false;
  removeEntry(entry.id);
  return true;
}
