import type { BpfMap, NativeError } from './binding.ts';
import { ownCgroup, withCgroupFd } from './cgroup.ts';
import * as layout from './layout.gen.ts';
import { native } from './native.ts';

/** BPF_CGROUP_UNIX_CONNECT of enum bpf_attach_type, include/uapi/linux/bpf.h. */
export const UNIX_CONNECT = 49;

/** MAX_CLOSED of bpf/maps.bpf.h. */
const MOST_CLOSED = 65_536;

/** Whether this kernel asks programs of a cgroup about connect() of UNIX sockets: Linux 6.7 and later. */
export function hasUnixConnect(): boolean {
  try {
    withCgroupFd(ownCgroup(), (fd) => native().cgroupPrograms(fd, UNIX_CONNECT));
    return true;
  } catch (error) {
    if ((error as NativeError).code === 'EINVAL') return false;
    throw error;
  }
}

/** A socket that is closed to a run. */
export interface ClosedSocket {
  /** A path, or an abstract name with `@` in front. */
  readonly path: string;
  /** What who connects to it gets. */
  readonly errno: number;
}

/**
 * Closes UNIX sockets to a run. A path is text: what is called by another one, as a relative path, through `..` or
 * another link, is another.
 */
export function closeSockets(map: BpfMap, run: bigint, sockets: readonly ClosedSocket[]): void {
  const value = Buffer.alloc(4);
  for (const { path, errno } of sockets) {
    value.writeUInt32LE(errno);
    native().mapUpdate(map, closedKey(run, path), value);
  }
}

/** Opens them to the run again. */
export function openSockets(map: BpfMap, run: bigint, paths: Iterable<string>): void {
  for (const path of paths) native().mapDelete(map, closedKey(run, path));
}

/** Whether a socket can be called so. */
export function isAddress(path: string): boolean {
  return Buffer.byteLength(path) <= layout.closedKey.path.size;
}

/** Opens those of a run that is over. */
export function openAllSockets(map: BpfMap, run: bigint): void {
  const { size } = layout.closedKey;
  const keys = native().mapKeys(map, MOST_CLOSED);
  for (let at = 0; at + size <= keys.length; at += size) {
    const key = keys.subarray(at, at + size);
    if (key.readBigUInt64LE(layout.closedKey.run.offset) === run) native().mapDelete(map, key);
  }
}

function closedKey(run: bigint, path: string): Buffer {
  const { size, run: of, length, path: at } = layout.closedKey;
  const bytes = Buffer.from(path.replace(/^@/, '\0'));
  if (bytes.length > at.size) throw new RangeError(`${path} is longer than a socket's address`);
  const key = Buffer.alloc(size);
  key.writeBigUInt64LE(run, of.offset);
  key.writeUInt32LE(bytes.length, length.offset);
  key.set(bytes, at.offset);
  return key;
}
