import type { DestPattern } from '../policy/dest.ts';
import type { LiveEntry } from '../policy/live.ts';
import type { Entry } from './answers.ts';
import { formatWho } from './who.ts';

/** A live entry for the compiler. `dest`: its destination, parsed. */
export function liveEntryOf(entry: Entry, dest: DestPattern): LiveEntry {
  const { id, verdict, deployment, reason, until, who } = entry;
  return { id, verdict, dest, deployment, reason, owner: formatWho(who), until };
}
