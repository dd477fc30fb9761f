import { readFileSync } from 'node:fs';
import type { Who } from './answers.ts';
import type { Peer } from './host-interface.ts';

/** Who asks, with the name of the program while it is there. */
export function whoOf({ uid, pid }: Peer): Who {
  try {
    return { uid, pid, comm: readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd() };
  } catch {
    return { uid, pid, comm: null };
  }
}

/** `root`, `uid 1000`. */
export function formatWho({ uid }: Who): string {
  return uid === 0 ? 'root' : `uid ${uid}`;
}
