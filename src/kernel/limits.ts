import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Limits } from '../model/limits.ts';
import type { RunLimits } from '../model/summary.ts';
import { type Cgroup, subtree } from './cgroup.ts';
import { SetupFailure } from './failure.ts';
import { findCgroup2 } from './mounts.ts';
import { readWord } from './probe.ts';

export type Limit = keyof Limits;

const LIMITS: readonly Limit[] = ['cpu', 'memory', 'tasks'];
const CONTROLLERS: Readonly<Record<Limit, string>> = { cpu: 'cpu', memory: 'memory', tasks: 'pids' };
const FILES: Readonly<Record<Limit, string>> = { cpu: 'cpu.max', memory: 'memory.max', tasks: 'pids.max' };
/** The kernel's own default period of cpu.max, in µs. */
const CPU_PERIOD = 100_000;
const MOST_NAMED = 4;
const OWN_CGROUP =
  'start it alone in a cgroup that may have limits below it: systemd-run --scope -p Delegate=yes acyclic run …';

/** Those that are set. */
export function limitsIn(limits: Limits): Limit[] {
  return LIMITS.filter((limit) => limits[limit] !== null);
}

/**
 * Throws SetupFailure `no-limits` where cgroups below `parent` cannot have these limits; a look, which changes
 * nothing. Every cgroup down to `parent` must pass the controller on, and a cgroup other than the root passes on
 * only what nobody is in: `mover` is the one process that would step aside; null: `parent` is left as it is.
 */
export function checkLimits(parent: Cgroup, limits: readonly Limit[], mover: number | null): void {
  const root = findCgroup2();
  const absent = lacking(join(root, 'cgroup.controllers'), limits);
  if (absent.length > 0) throw notInTree(root, absent);
  for (const path of ancestors(parent.path, root)) {
    const kept = lacking(join(path, 'cgroup.subtree_control'), limits);
    if (kept.length > 0) throw notPassedOn(kept, path);
  }
  const missing = missingBelow(parent, limits);
  if (missing.length === 0 || parent.level === 0) return;
  if (mover === null) throw notPassedOn(missing, parent.path);
  const others = membersOf(parent.path).filter((pid) => pid !== mover);
  if (others.length > 0)
    throw failure(
      limits,
      `in ${parent.path}, below which the run is made, there are other processes (${describe(others)}), and the kernel limits nothing below such a cgroup`,
      OWN_CGROUP,
    );
}

/** The limits `parent` does not pass on to cgroups below it yet. */
export function missingBelow(parent: Cgroup, limits: readonly Limit[]): Limit[] {
  return lacking(join(parent.path, 'cgroup.subtree_control'), limits);
}

/** Lets cgroups below have these limits. Throws SetupFailure `no-limits`. */
export function passOn(parent: Cgroup, limits: readonly Limit[]): void {
  const file = join(parent.path, 'cgroup.subtree_control');
  write(file, limits.map((limit) => `+${CONTROLLERS[limit]}`).join(' '), limits);
}

/** Takes all limits off `cgroup`, what is below it, and whatever else `parent` passes them on to. */
export function takeOff(parent: string, cgroup: string): void {
  // Deepest first: a cgroup that passes a controller on needs it from above.
  for (const directory of [...subtree(cgroup), parent]) {
    const file = join(directory, 'cgroup.subtree_control');
    const on = Object.values(CONTROLLERS).filter((name) => words(file).includes(name));
    if (on.length > 0) writeFileSync(file, on.map((name) => `-${name}`).join(' '));
  }
}

/** The limits of a cgroup, once they are set. */
export interface SetLimits {
  /** What they did so far, and whether they are still as they were set. */
  read(): RunLimits;
}

/** Sets limits. Throws SetupFailure `no-limits`. */
export function setLimits({ path }: Cgroup, limits: Limits): SetLimits {
  const set = limitsIn(limits).map((limit) => {
    const file = join(path, FILES[limit]);
    write(file, limit === 'cpu' ? cpuMax(limits.cpu ?? 0) : String(limits[limit]), [limit]);
    // The kernel rounds: what it made of the value is what must stay.
    return { file, value: readWord(file) };
  });
  return {
    read: () => ({
      ...limits,
      in_force: set.every(({ file, value }) => value !== null && readWord(file) === value),
      oom_kills: counter(join(path, 'memory.events'), 'oom_kill'),
      oom_group_kills: counter(join(path, 'memory.events'), 'oom_group_kill'),
      tasks_refused: counter(join(path, 'pids.events'), 'max'),
      throttled_ms: milliseconds(counter(join(path, 'cpu.stat'), 'throttled_usec')),
    }),
  };
}

function cpuMax(hundredths: number): string {
  return `${(hundredths * CPU_PERIOD) / 100} ${CPU_PERIOD}`;
}

/** The cgroups above one, the root first. */
function ancestors(path: string, root: string): string[] {
  return path === root ? [] : [...ancestors(dirname(path), root), dirname(path)];
}

function lacking(file: string, limits: readonly Limit[]): Limit[] {
  const there = words(file);
  return limits.filter((limit) => !there.includes(CONTROLLERS[limit]));
}

function words(file: string): string[] {
  return (readWord(file) ?? '').split(' ');
}

function membersOf(path: string): number[] {
  return (readWord(join(path, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number);
}

/** A number of a flat-keyed file; null where it is not there. */
function counter(file: string, key: string): number | null {
  const value = new RegExp(`^${key} (\\d+)$`, 'm').exec(readWord(file) ?? '')?.[1];
  return value === undefined ? null : Number(value);
}

function milliseconds(us: number | null): number | null {
  return us === null ? null : Math.round(us / 1000);
}

function write(file: string, text: string, limits: readonly Limit[]): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new SetupFailure(
      'no-limits',
      `cannot limit ${listed(limits)}: writing '${text}' to ${file}: ${(error as Error).message}`,
      OWN_CGROUP,
      { cause: error },
    );
  }
}

function notPassedOn(kept: readonly Limit[], path: string): SetupFailure {
  return failure(kept, `${path} does not pass ${named(kept)} on to cgroups below it`, OWN_CGROUP);
}

function notInTree(root: string, absent: readonly Limit[]): SetupFailure {
  const v1 = absent.some((limit) => hierarchyOf(CONTROLLERS[limit]) > 0);
  return failure(
    absent,
    `the cgroup v2 tree at ${root} lacks ${named(absent)}${v1 ? ' (bound to cgroup v1)' : ''}`,
    v1
      ? 'leave limits out, or boot with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1)'
      : 'leave limits out, or boot a kernel that has it, without cgroup_disable',
  );
}

/** The v1 hierarchy a controller is bound to; 0: none. */
function hierarchyOf(controller: string): number {
  const table = readWord('/proc/cgroups') ?? '';
  return Number(new RegExp(`^${controller}\\t(\\d+)`, 'm').exec(table)?.[1] ?? 0);
}

function failure(limits: readonly Limit[], why: string, remedy: string): SetupFailure {
  return new SetupFailure('no-limits', `cannot limit ${listed(limits)}: ${why}`, remedy);
}

/** `the memory controller`, `the cpu and pids controllers`. */
function named(limits: readonly Limit[]): string {
  const names = limits.map((limit) => CONTROLLERS[limit]);
  return `the ${listed(names)} controller${names.length > 1 ? 's' : ''}`;
}

/** `bash[4200], curl[4242] and 3 more`. */
function describe(pids: readonly number[]): string {
  const shown = pids
    .slice(0, MOST_NAMED)
    .map((pid) => `${readWord(`/proc/${pid}/comm`) ?? 'process'}[${pid}]`);
  return pids.length > MOST_NAMED
    ? `${shown.join(', ')} and ${pids.length - MOST_NAMED} more`
    : shown.join(', ');
}

function listed(names: readonly string[]): string {
  return names.length > 1 ? `${names.slice(0, -1).join(', ')} and ${names.at(-1)}` : `${names[0]}`;
}
