import type { BpfMap } from './binding.ts';
import * as layout from './layout.gen.ts';
import { native } from './native.ts';

/** Causes as users read them, by number in the kernel's table. */
const NAMES: Record<number, string> = {
  [layout.loss.LOSS_EVENTS]: 'event ring full',
  [layout.loss.LOSS_PROCESSES]: 'process ring full',
  [layout.loss.LOSS_SOCKETS]: 'no memory for socket storage',
  [layout.loss.LOSS_CLIENTS]: 'DNS client table full',
  [layout.loss.LOSS_OPENINGS]: 'connection denied, no room to read its first bytes',
  [layout.loss.LOSS_SYSCALLS]: 'no memory to follow a system call',
};

/** What the programs could not record, by cause; causes that never struck are left out. */
export function readLosses(map: BpfMap): Record<string, number> {
  const losses: Record<string, number> = {};
  for (const [cause, name] of Object.entries(NAMES)) {
    const count = readCount(map, Number(cause));
    if (count > 0) losses[name] = count;
  }
  return losses;
}

/** Counts of a run begin, or go on; without this they are not kept for it. */
export function openLosses(map: BpfMap, run: bigint): void {
  const key = runKey(run);
  if (!native().mapLookup(map, key)) native().mapUpdate(map, key, Buffer.alloc(layout.runLosses.size));
}

export function closeLosses(map: BpfMap, run: bigint): void {
  native().mapDelete(map, runKey(run));
}

/** As readLosses, of one run; with the records of how its calls ended. */
export function readRunLosses(map: BpfMap, run: bigint): { lost: Record<string, number>; lostEnds: number } {
  const counts = native().mapLookup(map, runKey(run));
  const count = (cause: number) => Number(counts?.readBigUInt64LE(cause * 8) ?? 0n);
  const lost = Object.entries(NAMES).map(([cause, name]) => [name, count(Number(cause))] as const);
  return {
    lost: Object.fromEntries(lost.filter(([, many]) => many > 0)),
    lostEnds: count(layout.loss.LOSS_ENDS),
  };
}

function runKey(run: bigint): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64LE(run);
  return key;
}

function readCount(map: BpfMap, cause: number): number {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(cause);
  const perCpu = native().mapLookup(map, key);
  let count = 0n;
  for (let at = 0; perCpu && at + 8 <= perCpu.length; at += 8) count += perCpu.readBigUInt64LE(at);
  return Number(count);
}
