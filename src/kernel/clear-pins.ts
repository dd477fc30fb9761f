import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BPFFS } from './mounts.ts';

/** Removes all that Acyclic has pinned, whichever version of it, but what is of the runs `kept`. */
export function clearPins(kept: ReadonlySet<string>): void {
  const root = join(BPFFS, 'acyclic');
  if (!existsSync(root)) return;
  for (const version of readdirSync(root)) {
    const directory = join(root, version);
    for (const name of readdirSync(directory))
      if (!kept.has(name)) rmSync(join(directory, name), { recursive: true });
    removeIfEmpty(directory);
  }
  removeIfEmpty(root);
}

function removeIfEmpty(directory: string): void {
  if (readdirSync(directory).length === 0) rmdirSync(directory);
}
