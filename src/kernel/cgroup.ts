import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { SetupFailure } from './failure.ts';
import { findCgroup2 } from './mounts.ts';

/** Inode of the initial cgroup namespace, include/linux/proc_ns.h PROC_CGROUP_INIT_INO. */
const INITIAL_CGROUP_NAMESPACE = 'cgroup:[4026531835]';

/** A cgroup v2 directory. */
export interface Cgroup {
  readonly path: string;
  /** The kernel's id: what bpf_get_current_ancestor_cgroup_id returns, and the directory's inode. */
  readonly id: bigint;
  /** Depth below the root, which is 0. */
  readonly level: number;
}

/** Where in the cgroup v2 tree a process is, from its root, as `/system.slice/x.service`. Throws as node:fs does. */
export function cgroupOf(pid: number | 'self'): string {
  const line = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('0::'));
  return line?.slice(3) ?? '/';
}

/** The cgroup this process is in. */
export function ownCgroup(): Cgroup {
  const mount = findCgroup2();
  const inside = cgroupOf('self');
  if (readlinkSync('/proc/self/ns/cgroup') !== INITIAL_CGROUP_NAMESPACE)
    throw new SetupFailure(
      'cgroup-namespace',
      'this process is in a cgroup namespace of its own, where cgroup depths cannot be told',
      'run acyclic on the host, or start the container with --cgroupns=host',
    );
  return cgroupAt(mount, inside);
}

/** The cgroup at a path from the root of the tree. Throws as node:fs does where there is none. */
export function cgroupAt(mount: string, inside: string): Cgroup {
  const path = inside === '/' ? mount : join(mount, inside);
  return {
    path,
    id: statSync(path, { bigint: true }).ino,
    level: inside.split('/').filter(Boolean).length,
  };
}

/**
 * That cgroup, or the nearest one above it into which, as into all above it, root alone can put processes. Who can write
 * to a cgroup above his own moves himself out of that one (delegation to users: `user@.service`, `Delegate=` with `User=`).
 */
export function heldByRoot(cgroup: Cgroup, root = findCgroup2()): Cgroup {
  const names = cgroup.path.slice(root.length).split('/').filter(Boolean);
  let held = '/';
  for (const name of names) {
    const next = join(held, name);
    if (!isHeldByRoot(join(root, next))) return cgroupAt(root, held);
    held = next;
  }
  return cgroup;
}

function isHeldByRoot(path: string): boolean {
  return [path, join(path, 'cgroup.procs')].every((file) => {
    const { uid, gid, mode } = statSync(file);
    return uid === 0 && (mode & 0o002) === 0 && (gid === 0 || (mode & 0o020) === 0);
  });
}

/** Makes a child cgroup. Throws SetupFailure `cgroup-refused` with the kernel's reason. */
export function createCgroup(parent: Cgroup, name: string): Cgroup {
  const path = join(parent.path, name);
  try {
    mkdirSync(path, { mode: 0o755 });
    return { path, id: statSync(path, { bigint: true }).ino, level: parent.level + 1 };
  } catch (error) {
    throw new SetupFailure(
      'cgroup-refused',
      `cannot make the run's cgroup ${path}: ${(error as Error).message}`,
      'check that the cgroup v2 tree is writable here (a container may mount it read-only)',
      { cause: error },
    );
  }
}

/** Whether it is there still, and no later one of its path is. */
export function isThere({ path, id }: Pick<Cgroup, 'path' | 'id'>): boolean {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino === id;
}

/** Calls `use` with a file descriptor of the cgroup's directory, which is closed after. */
export function withCgroupFd<T>(cgroup: Cgroup, use: (fd: number) => T): T {
  const fd = openSync(cgroup.path, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** The cgroup and all below it, deepest first. Empty when it is gone. */
export function subtree(path: string): string[] {
  let names: string[];
  try {
    names = readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
  return [...names.flatMap((name) => subtree(join(path, name))), path];
}

/** pids of every process in the cgroup and below it. */
export function processesIn(path: string): number[] {
  return subtree(path).flatMap((directory) => {
    try {
      return readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

/** Moves a process; false when it is gone. */
export function moveProcess(pid: number, to: string): boolean {
  try {
    writeFileSync(join(to, 'cgroup.procs'), String(pid));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** SIGKILL to every process of the subtree at once (cgroup.kill, kernel 5.14). */
export function killAll(path: string): void {
  try {
    writeFileSync(join(path, 'cgroup.kill'), '1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Removes the cgroup and all below it; false while a process is still in it. */
export function removeCgroup(path: string): boolean {
  for (const directory of subtree(path)) {
    try {
      rmdirSync(directory);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EBUSY') return false;
      if (code !== 'ENOENT') throw error;
    }
  }
  return true;
}
