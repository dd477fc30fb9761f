import { closeSync, rmSync, statSync } from 'node:fs';
import { isAlive, readEntries } from '../guard/registry.ts';
import { type Swept, sweep } from '../guard/sweep.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { clearPins } from '../kernel/pins.ts';
import { holdEngine } from './lock.ts';
import { HOSTED } from './run-record.ts';

/**
 * Takes off what a stopped daemon guards, and removes all it has pinned. Nothing is killed that is at work: it goes
 * on, unguarded, in the cgroup it was started from. A run that another process guards by itself keeps its guard.
 * Throws DaemonFailure `daemon-running`, SetupFailure.
 */
export async function clearGuards(): Promise<Swept[]> {
  if (process.geteuid?.() !== 0)
    throw new SetupFailure('not-root', 'taking guards off needs root', 'run it with sudo');
  const lock = holdEngine();
  try {
    const swept = await sweep('all');
    rmSync(HOSTED, { recursive: true, force: true });
    const guarded = readEntries().filter(({ engine }) => isAlive(engine));
    if (isWholeHost()) clearPins(new Set(guarded.map(({ id }) => id)));
    return swept;
  } finally {
    closeSync(lock);
  }
}

/** In a chroot what is pinned may be of runs that are on file outside; who cannot tell takes it for one. */
function isWholeHost(): boolean {
  try {
    const [first, own] = [statSync('/proc/1/root/'), statSync('/')];
    return first.dev === own.dev && first.ino === own.ino;
  } catch {
    return false;
  }
}
