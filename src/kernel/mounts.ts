import { mkdirSync, readFileSync, statfsSync } from 'node:fs';
import { SetupFailure } from './failure.ts';
import { native } from './native.ts';

/** Where bpffs is mounted by custom (systemd, bpftool). */
export const BPFFS = '/sys/fs/bpf';

/** statfs(2) f_type of bpffs, include/uapi/linux/magic.h. */
const BPF_FS_MAGIC = 0xcafe4a11;

/** The mount point of the cgroup v2 hierarchy, from the text of /proc/self/mountinfo; null when there is none. */
function cgroup2MountPoint(mountinfo: string): string | null {
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    if (!before || !after?.startsWith('cgroup2 ')) continue;
    const point = before.split(' ')[4];
    if (point)
      return point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  }
  return null;
}

/** The cgroup v2 mount point of this process. Throws SetupFailure `no-cgroup2`. */
export function findCgroup2(): string {
  const point = cgroup2MountPoint(readFileSync('/proc/self/mountinfo', 'utf8'));
  if (point) return point;
  throw new SetupFailure(
    'no-cgroup2',
    'no cgroup v2 hierarchy is mounted here',
    'mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified (or boot with systemd.unified_cgroup_hierarchy=1)',
  );
}

/** Whether bpffs is mounted at its place. */
function hasBpffs(): boolean {
  try {
    return statfsSync(BPFFS).type === BPF_FS_MAGIC;
  } catch {
    return false;
  }
}

/** Mounts bpffs where it is absent. Throws SetupFailure `no-bpffs`. */
export function ensureBpffs(): void {
  if (hasBpffs()) return;
  try {
    mkdirSync(BPFFS, { recursive: true });
    native().mountFs('bpf', BPFFS, 'bpf');
  } catch (error) {
    throw new SetupFailure(
      'no-bpffs',
      `bpffs is not mounted at ${BPFFS} and mounting it failed: ${(error as Error).message}`,
      `mount it: mount -t bpf bpf ${BPFFS}`,
      { cause: error },
    );
  }
}

/** Where tracefs is mounted by custom. */
const TRACEFS = '/sys/kernel/tracing';
/** statfs(2) f_type of tracefs, include/uapi/linux/magic.h. */
const TRACEFS_MAGIC = 0x74726163;

/** Mounts tracefs where it is absent. False: it cannot be had. */
export function ensureTracefs(): boolean {
  try {
    if (statfsSync(TRACEFS).type === TRACEFS_MAGIC) return true;
    native().mountFs('tracefs', TRACEFS, 'tracefs');
    return true;
  } catch {
    return false;
  }
}
