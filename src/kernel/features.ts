import { checkPrivileges } from './preflight.ts';
import { readWord } from './probe.ts';
import { GUARD_PROBES } from './probe-guard.ts';
import { HOST_PROBES } from './probe-host.ts';
import { hasUnixConnect } from './unix-connect.ts';

/** What a guard uses where the kernel has it. Null: it cannot be told from here, or without privileges. */
export interface Features {
  /** The kernel describes its types. */
  readonly btf: boolean | null;
  /** Programs are compiled. */
  readonly jit: boolean | null;
  /** How system calls return can be watched. */
  readonly tracefs: boolean | null;
  /** A connection can be ended for its owner. */
  readonly sock_diag: boolean | null;
  /** UNIX sockets can be closed to a run. */
  readonly connect_unix: boolean | null;
}

/** Looks for each, in a few milliseconds, and leaves nothing behind. */
export async function readFeatures(): Promise<Features> {
  const privileged = isPrivileged();
  const has = async (name: string) => {
    const probe = [...HOST_PROBES, ...GUARD_PROBES].find((each) => each.name === name);
    const finding = await probe?.find();
    return finding?.state === 'ok' ? true : privileged ? false : null;
  };
  return {
    btf: await has('BTF'),
    jit: isCompiling(),
    tracefs: await has('tracefs'),
    sock_diag: await has('sock_diag'),
    connect_unix: canCloseSockets(),
  };
}

function isPrivileged(): boolean {
  try {
    checkPrivileges();
    return true;
  } catch {
    return false;
  }
}

/** Another network namespace than the host's has no such setting. */
function isCompiling(): boolean | null {
  const word = readWord('/proc/sys/net/core/bpf_jit_enable');
  return word === null ? null : word !== '0';
}

function canCloseSockets(): boolean | null {
  try {
    return hasUnixConnect();
  } catch {
    return null;
  }
}
