import { readFileSync, readlinkSync } from 'node:fs';
import { readBounded } from './bounded-file.ts';

/** A process as /proc has it. */
export interface FoundProcess {
  readonly parent: number;
  /** By the monotonic clock, to a tick of 10 ms, never too late. */
  readonly start: bigint;
  readonly uid: number;
  readonly comm: string;
  readonly exe: string | null;
  /** Null of one that has none, as a thread of the kernel. */
  readonly argv: readonly string[] | null;
}

/** One clock tick of /proc/PID/stat (USER_HZ, which is 100 everywhere). */
const TICK_NS = 10_000_000n;
/** As much as the kernel's records hold. */
const MOST_ARGV = 4095;
/** Fields of /proc/PID/stat after the name (proc(5)): 4 is the parent, 22 the start since boot. */
const PARENT = 1;
const START = 19;

/** Looks a process up; null where there is none. `asleep`: how long the host was suspended since boot, ns. */
export function findProcess(pid: number, asleep: bigint): FoundProcess | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const uid = /^Uid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return {
      parent: Number(fields[PARENT]),
      start: BigInt(fields[START] ?? 0) * TICK_NS - asleep,
      uid: Number(uid),
      comm: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
      exe: exeOf(pid),
      argv: argvOf(pid),
    };
  } catch {
    return null;
  }
}

function exeOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '');
  } catch {
    return null;
  }
}

function argvOf(pid: number): string[] | null {
  const line = readBounded(`/proc/${pid}/cmdline`, MOST_ARGV);
  if (line === '') return null;
  return line.length <= MOST_ARGV
    ? line.replace(/\0$/, '').split('\0')
    : `${line.slice(0, MOST_ARGV)}…`.split('\0');
}
