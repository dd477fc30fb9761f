import { opendirSync } from 'node:fs';

/** The first descriptors of a process, so many at most; none of one that is gone. */
export function descriptorsOf(pid: number, most: number): number[] {
  const found: number[] = [];
  try {
    const directory = opendirSync(`/proc/${pid}/fd`);
    try {
      while (found.length < most) {
        const entry = directory.readSync();
        if (!entry) break;
        found.push(Number(entry.name));
      }
    } finally {
      directory.closeSync();
    }
  } catch {
    // It ended meanwhile.
  }
  return found;
}
