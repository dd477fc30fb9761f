import { dirname } from 'node:path';
import type { AttachedProgram } from './binding.ts';
import { type Cgroup, withCgroupFd } from './cgroup.ts';
import { findCgroup2 } from './mounts.ts';
import { native } from './native.ts';
import { hasUnixConnect, UNIX_CONNECT } from './unix-connect.ts';

/** include/uapi/linux/bpf.h */
const BPF_F_ALLOW_OVERRIDE = 1;
const BPF_F_ALLOW_MULTI = 2;

/** The hook of each of our programs on a cgroup: enum bpf_attach_type, include/uapi/linux/bpf.h. */
const ATTACH_TYPES: Readonly<Record<string, number>> = {
  ingress: 0,
  egress: 1,
  sock_create: 2,
  connect4: 10,
  connect6: 11,
  sendmsg4: 14,
  sendmsg6: 15,
  recvmsg4: 19,
  recvmsg6: 20,
  getpeername4: 29,
  getpeername6: 30,
  sock_release: 34,
  connect_unix: UNIX_CONNECT,
};

/** A program of somebody else's that does not share its hook with programs on cgroups below. */
export interface ForeignProgram extends AttachedProgram {
  readonly hook: string;
  /** The cgroup it is on. */
  readonly cgroup: string;
  /** `forbids`: ours cannot be attached. `yields`: it does not see what is in a run (BPF_F_ALLOW_OVERRIDE). */
  readonly effect: 'forbids' | 'yields';
}

/** What programs above stand against ours on a cgroup made below `parent`, on all hooks or one. */
export function foreignPrograms(parent: Cgroup, hook?: string): ForeignProgram[] {
  const root = findCgroup2();
  return Object.entries(ATTACH_TYPES)
    .filter(([name]) => hook === undefined || name === hook)
    .filter(([, type]) => type !== UNIX_CONNECT || hasUnixConnect())
    .flatMap(([name, type]) => foreignProgram(parent, root, name, type) ?? []);
}

/** The walk of kernel/bpf/cgroup.c hierarchy_allows_attach: the nearest cgroup that has programs decides. */
function foreignProgram(parent: Cgroup, root: string, hook: string, type: number): ForeignProgram | null {
  for (let path = parent.path; ; path = dirname(path)) {
    const { flags, programs } = withCgroupFd({ ...parent, path }, (fd) => native().cgroupPrograms(fd, type));
    if (flags & BPF_F_ALLOW_MULTI) return null;
    const [program] = programs;
    const effect = flags & BPF_F_ALLOW_OVERRIDE ? 'yields' : 'forbids';
    if (program) return { ...program, hook, cgroup: path, effect };
    if (path === root || path === dirname(path)) return null;
  }
}

/** As `program 'x' (id 7) on /sys/fs/cgroup/y`. */
export function describeForeign({ id, name, cgroup }: ForeignProgram): string {
  return `program ${name === '' ? '' : `'${name}' `}(id ${id}) on ${cgroup}`;
}
