import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  unlinkSync,
} from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { native } from '../kernel/native.ts';
import { DaemonFailure } from './failure.ts';

/** Where the embedded engine keeps things for root alone: others may pass through, to the socket, and list nothing. */
const DEFAULT_DIRECTORY = '/run/acyclic';
const PASS_THROUGH = 0o711;
const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;
const PROBE_MS = 1000;

/** A place for the daemon's socket, which is this process's for as long as it lives. */
export interface SocketFile {
  /** Where to bind: a path nobody else can reach. */
  readonly bindAt: string;
  /** Gives the bound socket its owner and mode, and puts it where clients look for it, all in one step. */
  publish(): void;
  /** Takes the socket away, if it is still this one. */
  remove(): void;
}

/**
 * Claims `path`. A socket a dead daemon left is replaced; one that is served is not, and what is no socket is left
 * alone. No symbolic link is followed but those of directories that only root can change. `gid`: the group that may
 * connect; null: root alone. Throws DaemonFailure.
 */
export async function claimSocket(path: string, gid: number | null): Promise<SocketFile> {
  const target = resolve(path);
  const directory = dirname(target);
  if (directory === DEFAULT_DIRECTORY) makePassable(directory);
  checkWay(directory);
  const lock = holdLock(`${target}.lock`, target);
  try {
    await checkTaken(target);
    const hidden = mkdtempSync(join(directory, `.${basename(target)}-`));
    const bindAt = join(hidden, 's');
    let published: Stats | null = null;
    return {
      bindAt,
      publish() {
        chownSync(bindAt, 0, gid ?? 0);
        chmodSync(bindAt, gid === null ? 0o600 : 0o660);
        published = lstatSync(bindAt);
        renameSync(bindAt, target);
        rmSync(hidden, { recursive: true });
      },
      remove() {
        const there = lstatSync(target, { throwIfNoEntry: false });
        if (published && there?.ino === published.ino && there.dev === published.dev) unlinkSync(target);
        rmSync(hidden, { recursive: true, force: true });
        closeSync(lock);
      },
    };
  } catch (error) {
    closeSync(lock);
    throw error;
  }
}

function makePassable(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: PASS_THROUGH });
  const { mode, uid } = lstatSync(directory);
  if (uid === process.geteuid?.() && (mode & 0o011) !== 0o011) chmodSync(directory, PASS_THROUGH);
}

/** Whoever may rename what is on the way may put another socket in its place. */
function checkWay(directory: string): void {
  const way = lstatSync(directory, { throwIfNoEntry: false });
  if (!way) throw unusable(directory, 'is not there', 'make it, for root alone to write');
  const safe = way.isSymbolicLink() || (way.mode & OTHERS_WRITE) === 0 || (way.mode & STICKY) !== 0;
  if ((way.uid !== 0 && way.uid !== process.geteuid?.()) || !safe)
    throw unusable(directory, 'can be changed by others than root', 'chown root and chmod go-w it');
  if (directory !== '/') checkWay(dirname(directory));
}

/** Held for as long as the daemon lives, and dropped by the kernel when it dies. */
function holdLock(file: string, target: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  let fd: number;
  try {
    fd = openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  } catch (error) {
    throw unusable(file, `cannot be opened: ${(error as Error).message}`, 'see what is there', error);
  }
  if (native().fileLock(fd, true)) return fd;
  closeSync(fd);
  throw running(target);
}

async function checkTaken(target: string): Promise<void> {
  const there = lstatSync(target, { throwIfNoEntry: false });
  if (!there) return;
  if (!there.isSocket()) throw unusable(target, 'is there already, and is no socket', 'move it away');
  if (await isServed(target)) throw running(target);
}

/** Whether anybody listens there: a socket whose listener is dead refuses at once. */
function isServed(path: string): Promise<boolean> {
  return new Promise((answer) => {
    const probe = connect(path);
    const conclude = (served: boolean) => {
      probe.destroy();
      answer(served);
    };
    probe.setTimeout(PROBE_MS, () => conclude(true));
    probe.once('connect', () => conclude(true));
    probe.once('error', (error: NodeJS.ErrnoException) =>
      conclude(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

function running(path: string): DaemonFailure {
  return new DaemonFailure(
    'daemon-running',
    `a daemon serves ${path} already`,
    'stop it first (systemctl stop acyclic), or name another socket with --socket',
  );
}

function unusable(path: string, reason: string, remedy: string, cause?: unknown): DaemonFailure {
  return new DaemonFailure('socket', `the socket cannot be made: ${path} ${reason}`, remedy, { cause });
}
