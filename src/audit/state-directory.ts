import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  type Stats,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { AuditFailure } from './failure.ts';

const STATE_DIRECTORY = '/var/lib/acyclic';
const STATE_VARIABLE = 'ACYCLIC_STATE';

const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/** Where state is kept: as given, as the environment has it, or in its usual place. */
export function stateDirectory(given: string | null): string {
  return given ?? (process.env[STATE_VARIABLE] || STATE_DIRECTORY);
}

/**
 * Makes a directory that is this user's alone, and any above it that is missing. Throws AuditFailure
 * `unsafe-state` when another user could have put something else there, or could do so later; other errors as
 * Node has them.
 */
export function makeDirectory(path: string): void {
  let there = dirname(resolve(path));
  while (!lstatSync(there, { throwIfNoEntry: false })) there = dirname(there);
  checkWay(there);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  checkDirectory(path);
}

/** Throws AuditFailure `unsafe-state` as `makeDirectory` does. */
export function checkDirectory(path: string): void {
  const absolute = resolve(path);
  const own = lstatSync(absolute);
  if (!own.isDirectory()) throw unsafe(absolute, 'is not a directory');
  if (!isOurs(own)) throw unsafe(absolute, `belongs to user ${own.uid}`);
  if ((own.mode & OTHERS_WRITE) !== 0) throw unsafe(absolute, 'can be written by others');
  checkWay(dirname(absolute));
  const real = realpathSync(dirname(absolute));
  if (real !== dirname(absolute)) checkWay(real);
}

/** Whoever may rename what is on the way may put anything in its place. */
function checkWay(path: string): void {
  const way = lstatSync(path);
  if (!isOurs(way)) throw unsafe(path, `belongs to user ${way.uid}`);
  const guarded = way.isSymbolicLink() || (way.mode & OTHERS_WRITE) === 0 || (way.mode & STICKY) !== 0;
  if (!guarded) throw unsafe(path, 'can be written by others');
  if (path !== '/') checkWay(dirname(path));
}

/**
 * Makes a file if there is none, for this user alone, and never through a symbolic link; its name is on disk then.
 * Throws AuditFailure `unsafe-state`, and Node's errors when it cannot be written.
 */
export function makeFile(path: string): void {
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = constants;
  try {
    closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
    const directory = openSync(dirname(path), O_RDONLY | O_DIRECTORY);
    fsyncSync(directory);
    closeSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  checkFile(path);
  accessSync(path, constants.W_OK);
}

/** Throws AuditFailure `unsafe-state` unless it is a plain file of ours that nobody else can write. */
export function checkFile(path: string): void {
  const file = lstatSync(path);
  if (!file.isFile()) throw unsafe(path, 'is not a plain file');
  if (!isOurs(file)) throw unsafe(path, `belongs to user ${file.uid}`);
  if ((file.mode & OTHERS_WRITE) !== 0) throw unsafe(path, 'can be written by others');
}

function isOurs({ uid }: Stats): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

function unsafe(path: string, reason: string): AuditFailure {
  return new AuditFailure(
    'unsafe-state',
    `the audit trail cannot be kept there: ${path} ${reason}`,
    `give it to root alone (chown root, chmod go-w), or name another directory with --state`,
  );
}
