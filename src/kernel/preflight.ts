import { accessSync, constants } from 'node:fs';
import { release } from 'node:os';
import { SetupFailure } from './failure.ts';
import { ensureBpffs, findCgroup2 } from './mounts.ts';
import { isOlder, readWord } from './probe.ts';

/** The oldest kernel these programs are tried on (bpf_set_retval, cgroup.ancestors[]). */
const OLDEST_KERNEL = '6.1';

const BTF = '/sys/kernel/btf/vmlinux';

/** /proc/self/uid_map of the initial user namespace: all ids, each as itself. */
const ALL_IDS = /^0\s+0\s+4294967295$/;

/** Capabilities of include/uapi/linux/capability.h by bit. */
const NEEDED_CAPABILITIES = [
  { bit: 12n, name: 'CAP_NET_ADMIN' },
  { bit: 21n, name: 'CAP_SYS_ADMIN' },
  { bit: 38n, name: 'CAP_PERFMON' },
  { bit: 39n, name: 'CAP_BPF' },
] as const;

/**
 * What a run cannot do without and a look can tell, in under 2 ms; bpffs is mounted where it is absent. What
 * only trying can tell (a verifier, a foreign program) is told by loadPrograms. Throws SetupFailure.
 */
export function preflight(): void {
  checkPrivileges();
  checkKernel();
  checkBtf();
  findCgroup2();
  ensureBpffs();
}

/** Throws SetupFailure `not-root` or `no-capability`. */
export function checkPrivileges(): void {
  const effective = BigInt(
    `0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readWord('/proc/self/status') ?? '')?.[1] ?? 0}`,
  );
  const missing = NEEDED_CAPABILITIES.filter(({ bit }) => ((effective >> bit) & 1n) === 0n);
  const lacks = `this process lacks ${missing.map(({ name }) => name).join(', ')}`;
  if (missing.length > 0 && process.geteuid?.() !== 0)
    throw new SetupFailure(
      'not-root',
      `guarding needs root: ${lacks}`,
      'run it with sudo, or start the daemon: systemctl start acyclic',
    );
  if (missing.length > 0)
    throw new SetupFailure(
      'no-capability',
      `root is not enough: ${lacks}`,
      'run it on the host, or give the container these capabilities (--cap-add)',
    );
  const ids = readWord('/proc/self/uid_map');
  if (ids !== null && !ALL_IDS.test(ids))
    throw new SetupFailure(
      'no-capability',
      'this process is root in a user namespace only, which the kernel lets load no eBPF',
      'run it on the host, or in a container without user namespaces (not rootless)',
    );
}

/** Throws SetupFailure `old-kernel`. */
export function checkKernel(): void {
  if (!isOlder(release(), OLDEST_KERNEL)) return;
  throw new SetupFailure(
    'old-kernel',
    `Linux ${release()} is too old to guard on`,
    `boot Linux ${OLDEST_KERNEL} or later`,
  );
}

/** Throws SetupFailure `no-btf`. */
export function checkBtf(): void {
  try {
    accessSync(BTF, constants.R_OK);
  } catch (error) {
    throw new SetupFailure(
      'no-btf',
      `the kernel has no BTF: ${BTF} cannot be read`,
      'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (every distribution kernel of these years is), with /sys mounted',
      { cause: error },
    );
  }
}
