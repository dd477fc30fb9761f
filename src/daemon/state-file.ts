import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DaemonFailure } from './failure.ts';

/**
 * Puts a file in place whole or not at all, and on disk when it returns, whatever ends the process meanwhile. What a
 * killed one left is written over the next time. Throws as node:fs does.
 */
export function writeDurably(path: string, text: string, mode = 0o600): void {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  const temporary = join(dirname(path), `.${basename(path)}.new`);
  const fd = openSync(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
  try {
    fchmodSync(fd, mode);
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncDirectory(dirname(path));
}

/** What was made, renamed or removed in it is on disk then. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Null: there is no such file. Throws as node:fs does. */
export function readIfPresent(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Errors of node:fs as people are told. Throws DaemonFailure `state-directory`. */
export function keeping<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new DaemonFailure(
      'state-directory',
      `cannot keep ${what}: ${(error as Error).message}`,
      'see that there is room and that it may be written, then try again',
      { cause: error },
    );
  }
}
