import { closeSync } from 'node:fs';
import { makeDirectory } from '../audit/state-directory.ts';
import { isAlive, readEntries } from '../guard/registry.ts';
import { type Swept, sweep } from '../guard/sweep.ts';
import { clearPins } from '../kernel/clear-pins.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { holdState } from './lock.ts';

/**
 * Takes off what a stopped daemon guards, and removes all it has pinned. Nothing is killed that is at work: it goes
 * on, unguarded, in the cgroup it was started from. A run that another process guards by itself keeps its guard.
 * Throws DaemonFailure `daemon-running`, SetupFailure, AuditFailure.
 */
export async function clearGuards(state: string): Promise<Swept[]> {
  if (process.geteuid?.() !== 0)
    throw new SetupFailure('not-root', 'taking guards off needs root', 'run it with sudo');
  makeDirectory(state);
  const lock = holdState(state);
  try {
    const swept = await sweep('all');
    const guarded = readEntries().filter(({ engine }) => isAlive(engine));
    clearPins(new Set(guarded.map(({ id }) => id)));
    return swept;
  } finally {
    closeSync(lock);
  }
}
