import { constants } from 'node:os';
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

/**
 * Closes UNIX sockets to a run: who connects to one of these paths gets ECONNREFUSED, as if nobody listened. A path is
 * text: what is called by another one, as a relative path, through `..` or another link, is another.
 */
export function closeSockets(map: BpfMap, run: bigint, paths: readonly string[]): void {
  const errno = Buffer.alloc(4);
  errno.writeUInt32LE(constants.errno.ECONNREFUSED);
  for (const path of paths) native().mapUpdate(map, closedKey(run, path), errno);
}

/** Opens those of a run that is over. */
export function openSockets(map: BpfMap, run: bigint): void {
  const { size } = layout.closedKey;
  const keys = native().mapKeys(map, MOST_CLOSED);
  for (let at = 0; at + size <= keys.length; at += size) {
    const key = keys.subarray(at, at + size);
    if (key.readBigUInt64LE(layout.closedKey.run.offset) === run) native().mapDelete(map, key);
  }
}

function closedKey(run: bigint, path: string): Buffer {
  const { size, run: of, length, path: at } = layout.closedKey;
  const bytes = Buffer.from(path);
  if (bytes.length > at.size) throw new RangeError(`${path} is longer than a socket's address`);
  const key = Buffer.alloc(size);
  key.writeBigUInt64LE(run, of.offset);
  key.writeUInt32LE(bytes.length, length.offset);
  key.set(bytes, at.offset);
  return key;
}
