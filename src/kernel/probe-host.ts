import { release } from 'node:os';
import { native } from './native.ts';
import { checkBtf, checkKernel, checkPrivileges } from './preflight.ts';
import { type Probe, probe, readWord } from './probe.ts';

/** Series the programs are tried on; test/vm boots those that are not this machine's. */
const TESTED = ['6.1', '6.12', '6.18'] as const;

const SECURITYFS = 'mount -t securityfs securityfs /sys/kernel/security';

/** What is installed, what the kernel is, and what it was told at boot. Each stands alone, and needs no root. */
export const HOST_PROBES: readonly Probe[] = [
  probe({
    name: 'addon',
    needed: true,
    minimum: null,
    remedy: null,
    look: () => `loaded, libbpf ${native().libbpfVersion()}`,
  }),
  probe({
    name: 'privileges',
    needed: true,
    minimum: null,
    remedy: null,
    look: () => {
      checkPrivileges();
      return 'root, with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN';
    },
  }),
  probe({
    name: 'kernel',
    needed: true,
    minimum: null,
    remedy: null,
    look: () => {
      checkKernel();
      const tested = TESTED.some((series) => new RegExp(`^${series.replace('.', '\\.')}\\b`).test(release()));
      return `Linux ${release()}${tested ? '' : `, which is not one of those tested: ${TESTED.join(', ')}`}`;
    },
  }),
  probe({
    name: 'BTF',
    needed: true,
    minimum: '5.4',
    remedy: null,
    look: () => {
      checkBtf();
      return 'the kernel describes its types';
    },
  }),
  probe({
    name: 'JIT',
    needed: false,
    minimum: null,
    remedy: 'turn it on, or each call costs several times more: sysctl net.core.bpf_jit_enable=1',
    look: () => {
      const word = readWord('/proc/sys/net/core/bpf_jit_enable');
      if (word === null) throw new Error('cannot be told in this network namespace');
      return found(word !== '0', 'on', 'off: eBPF is interpreted');
    },
  }),
  probe({
    name: 'lockdown',
    // Whether it is in the way, the loading of the programs tells.
    needed: false,
    minimum: null,
    remedy: `boot with lockdown=integrity or without; to see it, ${SECURITYFS}`,
    look: lookAtLockdown,
  }),
  probe({
    name: 'LSM hooks',
    needed: false,
    minimum: null,
    remedy: `not used yet; to be ready, boot with lsm=…,bpf, and ${SECURITYFS}`,
    look: () => {
      const list = readWord('/sys/kernel/security/lsm');
      if (list === null) throw new Error('cannot be told: securityfs is not mounted');
      return found(list.split(',').includes('bpf'), 'bpf is an active LSM', `bpf is not among ${list}`);
    },
  }),
  probe({
    name: 'tracefs',
    needed: false,
    minimum: null,
    remedy: 'not used yet; to be ready, mount -t tracefs tracefs /sys/kernel/tracing',
    look: () =>
      found(
        readWord('/sys/kernel/tracing/events/syscalls/sys_enter_connect/id') !== null,
        'mounted, with the system calls',
        'no tracepoints of system calls at /sys/kernel/tracing',
      ),
  }),
  probe({
    name: 'MPTCP',
    needed: false,
    minimum: null,
    remedy: null,
    look: () =>
      readWord('/proc/sys/net/mptcp/enabled') === '1'
        ? 'on: each subflow is decided'
        : 'off: nothing to guard',
  }),
  probe({
    name: 'io_uring',
    needed: false,
    minimum: null,
    remedy: null,
    look: () => {
      const disabled = readWord('/proc/sys/kernel/io_uring_disabled');
      if (disabled === null) return 'cannot be told; where it is there, its calls are decided';
      return disabled === '2' ? 'off: nothing to guard' : 'on: its calls are decided';
    },
  }),
];

/** Confidentiality keeps eBPF from reading kernel memory, which the programs do. */
function lookAtLockdown(): string {
  const word = readWord('/sys/kernel/security/lockdown');
  if (word === null) throw new Error('cannot be told: securityfs is not mounted');
  const mode = /\[(\w+)\]/.exec(word)?.[1] ?? word;
  return found(mode !== 'confidentiality', mode, 'confidentiality: no eBPF may read the kernel');
}

function found(there: boolean, what: string, otherwise: string): string {
  if (there) return what;
  throw new Error(otherwise);
}
