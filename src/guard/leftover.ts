import { setTimeout as sleep } from 'node:timers/promises';
import { killAll, moveProcess, processesIn, removeCgroup } from '../kernel/cgroup.ts';

const POLL_MS = 5;
const LIMIT_MS = 5000;

/** Moves every process of a cgroup back to where the run was started from; returns whom it moved. */
export async function release(cgroup: string, origin: string): Promise<number[]> {
  const moved = new Set<number>();
  await untilEmpty(cgroup, (pids) => {
    for (const pid of pids) if (moveProcess(pid, origin)) moved.add(pid);
  });
  return [...moved];
}

/** Kills every process of a cgroup; returns whom. */
export async function kill(cgroup: string): Promise<number[]> {
  const killed = new Set<number>();
  await untilEmpty(cgroup, (pids) => {
    for (const pid of pids) killed.add(pid);
    killAll(cgroup);
  });
  return [...killed];
}

/** Removes an emptied cgroup; the last process may take a moment to leave. False: it is still there. */
export async function removeWhenEmpty(cgroup: string): Promise<boolean> {
  const end = Date.now() + LIMIT_MS;
  while (!removeCgroup(cgroup)) {
    if (Date.now() > end) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Repeats while processes remain: one may fork between the reading and the moving. */
async function untilEmpty(cgroup: string, act: (pids: readonly number[]) => void): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const pids = processesIn(cgroup);
    if (pids.length === 0 || Date.now() > end) return;
    act(pids);
    if (processesIn(cgroup).length > 0) await sleep(POLL_MS);
  }
}
