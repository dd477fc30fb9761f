import { readFileSync } from 'node:fs';
import type { Engine } from './record.ts';

const BOOT = '/proc/sys/kernel/random/boot_id';

/** This process, so that others can tell later whether it still lives; null where /proc cannot tell. */
export function ownIdentity(): Engine | null {
  const start = startOf(process.pid);
  const boot = bootId();
  return start === null || boot === null ? null : { pid: process.pid, start, boot };
}

/** Whether that very process lives, in this boot of the host. */
export function isAlive({ pid, start, boot }: Engine): boolean {
  return startOf(pid) === start && bootId() === boot;
}

/** Start of a process in clock ticks since boot; null when there is none with that pid, or only its zombie. */
export function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, start] = [fields[0], fields[19]];
    return start !== undefined && state !== 'Z' && state !== 'X' ? start : null;
  } catch {
    return null;
  }
}

function bootId(): string | null {
  try {
    return readFileSync(BOOT, 'utf8').trim();
  } catch {
    return null;
  }
}
