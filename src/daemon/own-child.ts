import { readFileSync } from 'node:fs';
import type { Peer } from './host-interface.ts';
import { Refusal } from './refusal.ts';

/** What /proc says of a process; `start` in clock ticks since boot, which with the pid names it for good. */
interface Seen {
  readonly parent: number;
  readonly start: string;
  /** Real, effective, saved and of the file system. */
  readonly uids: readonly number[];
}

/**
 * A process that is the peer's to hand over: its own child, under its own user in every way; of root, any child of
 * its own. Gives whether the pid still is that process. Throws Refusal.
 */
export function checkOwnChild(peer: Peer, pid: number): () => boolean {
  const seen = look(pid);
  if (seen?.parent !== peer.pid)
    throw new Refusal('refused', `process ${pid} is no child of process ${peer.pid}, which asks`);
  if (peer.uid !== 0 && seen.uids.some((uid) => uid !== peer.uid))
    throw new Refusal('refused', `process ${pid} is not of user ${peer.uid} alone`);
  return () => look(pid)?.start === seen.start;
}

function look(pid: number): Seen | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name before may hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const uids = /^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$/m.exec(status);
    if (!uids) return null;
    return { parent: Number(fields[1]), start: fields[19] ?? '', uids: uids.slice(1).map(Number) };
  } catch {
    return null;
  }
}
