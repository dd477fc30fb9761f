import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isSocketNamed, socketPath } from '../daemon/client.ts';
import { INSTALLED } from '../guard/installed.ts';
import { Failure, type Output } from './output.ts';
import type { RunOptions } from './run-options.ts';

/** The socket of the daemon where there is one, or one was named; null: there is none. */
export function daemonSocket(given: string | null): string | null {
  const path = socketPath(given);
  return isSocketNamed(given) || isThere(path) ? path : null;
}

/**
 * The socket of the daemon that is to guard a run; null: this process guards it. What the daemon cannot do is an error,
 * never left out. Throws Failure.
 */
export function daemonForRun(options: RunOptions, output: Output): string | null {
  const { socket, policy, state, baseline } = options;
  const path = daemonSocket(socket);
  if (path === null) return null;
  if (policy !== null && resolve(policy) !== INSTALLED) {
    const known = 'the daemon guards by the policies that are installed';
    if (process.geteuid?.() !== 0)
      throw new Failure(
        'contradiction',
        `-p names a policy of your own, and ${known}`,
        'leave -p out, and name a deployment with -d; root installs policies: acyclic policy apply',
      );
    if (socket !== null)
      throw new Failure('contradiction', `-p and --socket: ${known}`, 'leave one of them out');
    output.say('info', [
      `acyclic: this run is guarded without the daemon: -p names a policy of its own, and ${known}`,
    ]);
    return null;
  }
  if (state !== null)
    throw new Failure(
      'contradiction',
      '--state: the daemon keeps the audit trail of its runs in its own directory',
      'leave it out',
    );
  if (baseline.length > 0)
    throw new Failure(
      'contradiction',
      '--baseline: the daemon compares with the runs in its audit trail',
      'leave it out',
    );
  return path;
}

/** Also where that cannot be told: then the daemon's socket says why. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}
