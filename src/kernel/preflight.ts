import { release } from 'node:os';
import { SetupFailure } from './failure.ts';
import { ensureBpffs, findCgroup2 } from './mounts.ts';
import { native } from './native.ts';

/** The oldest kernel these programs are tried on (bpf_set_retval, cgroup.ancestors[]). */
const OLDEST_KERNEL = [6, 1] as const;

/** Capabilities of include/uapi/linux/capability.h by bit, and what each is needed for. */
const NEEDED_CAPABILITIES = [
  { bit: 12n, name: 'CAP_NET_ADMIN', why: 'to attach programs to a cgroup' },
  { bit: 21n, name: 'CAP_SYS_ADMIN', why: 'to make cgroups and mount bpffs' },
  { bit: 38n, name: 'CAP_PERFMON', why: 'to read the kernel from eBPF' },
  { bit: 39n, name: 'CAP_BPF', why: 'to load eBPF programs' },
] as const;

/** Capabilities this process lacks, by name. */
export function missingCapabilities(effective: bigint): string[] {
  return NEEDED_CAPABILITIES.filter(({ bit }) => ((effective >> bit) & 1n) === 0n).map(({ name }) => name);
}

/** Whether a release, as uname(2) has it, is of a kernel too old. */
export function isTooOld(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return major < OLDEST_KERNEL[0] || (major === OLDEST_KERNEL[0] && minor < OLDEST_KERNEL[1]);
}

/** What a run cannot do without, cheapest first; bpffs is mounted where it is absent. Throws SetupFailure. */
export function preflight(): void {
  const missing = missingCapabilities(native().capabilities());
  if (missing.length > 0)
    throw new SetupFailure(
      'not-root',
      `guarding needs root: this process lacks ${missing.join(', ')}`,
      'run it with sudo',
    );
  if (isTooOld(release()))
    throw new SetupFailure(
      'old-kernel',
      `Linux ${release()} is too old to guard on`,
      `boot Linux ${OLDEST_KERNEL.join('.')} or later`,
    );
  if (!native().kernelBtf())
    throw new SetupFailure(
      'no-btf',
      'the kernel has no BTF: /sys/kernel/btf/vmlinux cannot be read',
      'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (every distribution kernel of these years is), with /sys mounted',
    );
  findCgroup2();
  ensureBpffs();
}
