import { closeSync, statSync } from 'node:fs';
import { makeDirectory } from '../audit/state-directory.ts';
import { isAlive, readEntries } from '../guard/registry.ts';
import { type Swept, sweep } from '../guard/sweep.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { clearPins } from '../kernel/pins.ts';
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
    if (isWholeHost()) clearPins(new Set(guarded.map(({ id }) => id)));
    return swept;
  } finally {
    closeSync(lock);
  }
}

/** In a chroot what is pinned may be of runs that are on file outside. */
function isWholeHost(): boolean {
  const [first, own] = ['/proc/1/root/', '/'].map((path) => statSync(path, { throwIfNoEntry: false }));
  return first !== undefined && first.dev === own?.dev && first.ino === own.ino;
}
