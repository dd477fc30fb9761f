import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { Mode } from '../model/verdict.ts';
import { createCgroup, ownCgroup, removeCgroup } from './cgroup.ts';
import { SetupFailure } from './failure.ts';
import { BPFFS, ensureBpffs, findCgroup2 } from './mounts.ts';
import { native } from './native.ts';
import { isTooOld, missingCapabilities } from './preflight.ts';
import { loadPrograms } from './programs.ts';

/** One thing a host has or has not. */
export interface Finding {
  readonly name: string;
  /** `missing`: a run cannot be guarded without it. `optional`: it can, with less. */
  readonly state: 'ok' | 'missing' | 'optional';
  readonly detail: string;
  /** What to do; null when nothing need be done. */
  readonly remedy: string | null;
}

interface Probe {
  readonly name: string;
  readonly needed: boolean;
  /** What was found. Throws SetupFailure, or any error, for what is not there. */
  readonly look: () => string;
  readonly remedy?: string;
}

const MODES: readonly Mode[] = ['enforce', 'audit'];

/** In the order one would fix them. */
const PROBES: readonly Probe[] = [
  { name: 'addon', needed: true, look: () => `loaded, libbpf ${native().libbpfVersion()}` },
  { name: 'privileges', needed: true, look: lookAtCapabilities, remedy: 'run it with sudo' },
  { name: 'kernel', needed: true, look: lookAtKernel, remedy: 'boot Linux 6.1 or later' },
  {
    name: 'BTF',
    needed: true,
    look: () => found(native().kernelBtf(), '/sys/kernel/btf/vmlinux'),
    remedy: 'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, with /sys mounted',
  },
  { name: 'cgroup v2', needed: true, look: lookAtCgroup },
  {
    name: 'bpffs',
    needed: true,
    look: () => {
      ensureBpffs();
      return `mounted at ${BPFFS}`;
    },
  },
  { name: 'eBPF programs', needed: true, look: lookAtPrograms },
  {
    name: 'JIT',
    needed: false,
    look: () => found(readLine('/proc/sys/net/core/bpf_jit_enable') !== '0', 'on'),
    remedy: 'turn it on, or each call costs several times more: sysctl net.core.bpf_jit_enable=1',
  },
  {
    name: 'LSM hooks',
    needed: false,
    look: () =>
      found(readLine('/sys/kernel/security/lsm').split(',').includes('bpf'), 'bpf is an active LSM'),
    remedy: 'not used yet; boot with lsm=…,bpf to be ready',
  },
  {
    name: 'limits',
    needed: false,
    look: lookAtControllers,
    remedy: 'cpu, memory and pids controllers in the v2 tree are for limits, which are not in force yet',
  },
];

/** Looks at everything; nothing is left behind. */
export function probeHost(): Finding[] {
  return PROBES.map(({ name, needed, look, remedy }) => {
    try {
      return { name, state: 'ok', detail: look(), remedy: null };
    } catch (error) {
      const own = error instanceof SetupFailure ? error.remedy : null;
      const detail = error instanceof Error ? error.message : String(error);
      return { name, state: needed ? 'missing' : 'optional', detail, remedy: remedy ?? own };
    }
  });
}

function found(there: boolean, what: string): string {
  if (there) return what;
  throw new Error(`not there: ${what}`);
}

function lookAtCapabilities(): string {
  const missing = missingCapabilities(native().capabilities());
  if (missing.length > 0) throw new Error(`this process lacks ${missing.join(', ')}`);
  return 'root, with every capability needed';
}

function lookAtKernel(): string {
  if (isTooOld(release())) throw new Error(`Linux ${release()} is too old`);
  return `Linux ${release()}`;
}

function lookAtCgroup(): string {
  const mount = findCgroup2();
  const own = ownCgroup();
  const name = `acyclic-probe-${process.pid}`;
  const probe = createCgroup(own, name);
  removeCgroup(probe.path);
  return `mounted at ${mount}, runs would be made below ${own.path}`;
}

/** Loads every program, and attaches them to a cgroup with nobody in it. */
function lookAtPrograms(): string {
  const probe = createCgroup(ownCgroup(), `acyclic-probe-${process.pid}`);
  try {
    const start = performance.now();
    const programs = loadPrograms(MODES);
    try {
      programs.attach(probe, `probe-${process.pid}`);
    } finally {
      programs.close();
    }
    return `load and attach in ${Math.round(performance.now() - start)} ms`;
  } finally {
    removeCgroup(probe.path);
  }
}

function lookAtControllers(): string {
  const there = readLine(`${findCgroup2()}/cgroup.controllers`).split(' ');
  const missing = ['cpu', 'memory', 'pids'].filter((name) => !there.includes(name));
  if (missing.length > 0) throw new Error(`not in the v2 tree: ${missing.join(', ')}`);
  return 'cpu, memory and pids are in the v2 tree';
}

function readLine(path: string): string {
  return readFileSync(path, 'utf8').trim();
}
