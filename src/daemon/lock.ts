import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { native } from '../kernel/native.ts';
import { DaemonFailure } from './failure.ts';

/** Held by the daemon, for as long as it lives. */
const ENGINE_LOCK = '/run/acyclic/engine.lock';

/** One engine on a host: two would write the same tables. Throws DaemonFailure `daemon-running`. */
export function holdEngine(): number {
  mkdirSync(dirname(ENGINE_LOCK), { recursive: true, mode: 0o711 });
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  const fd = openSync(ENGINE_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  if (native().fileLock(fd, true)) return fd;
  closeSync(fd);
  throw new DaemonFailure(
    'daemon-running',
    'a daemon guards this host already',
    'stop it first: systemctl stop acyclic',
  );
}
