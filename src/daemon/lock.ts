import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { native } from '../kernel/native.ts';
import { DaemonFailure } from './failure.ts';

/** One daemon for a state directory: two would write the same tables. Throws DaemonFailure `daemon-running`. */
export function holdState(state: string): number {
  const file = join(state, 'daemon.lock');
  mkdirSync(state, { recursive: true });
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  const fd = openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  if (native().fileLock(fd, true)) return fd;
  closeSync(fd);
  throw new DaemonFailure(
    'daemon-running',
    `a daemon keeps its state in ${state} already`,
    'stop it first (systemctl stop acyclic), or name another directory with --state',
  );
}
