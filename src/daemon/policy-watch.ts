import { type FSWatcher, watch } from 'node:fs';

/** An editor writes, renames and removes: what it was about is known when it has been quiet for so long. */
const QUIET_MS = 300;
/** What never is quiet, as a directory beside it where others write, puts that off no longer than this. */
const LATEST_MS = 2_000;
/** What no notice is given of, as by a file system that has none, is seen after so long. */
const LOOK_EVERY_MS = 30_000;

/**
 * Calls `changed` some time after something changed in one of the directories, and now and again without that.
 * Directories that come and go are followed. Does not keep the process alive. Gives what stops it.
 */
export function watchDirectories(directories: () => readonly string[], changed: () => void): () => void {
  let watchers: FSWatcher[] = [];
  let quiet: NodeJS.Timeout | null = null;
  /** Of the first change that was not looked at yet. */
  let since: number | null = null;
  const look = () => {
    [quiet, since] = [null, null];
    arm();
    changed();
  };
  const stir = () => {
    if (quiet) clearTimeout(quiet);
    since ??= performance.now();
    const left = since + LATEST_MS - performance.now();
    quiet = setTimeout(look, Math.max(0, Math.min(QUIET_MS, left))).unref();
  };
  const disarm = () => {
    for (const watcher of watchers) watcher.close();
    watchers = [];
  };
  const arm = () => {
    disarm();
    watchers = directories().flatMap((directory) => {
      try {
        const watcher = watch(directory, { persistent: false }, stir);
        watcher.on('error', () => watcher.close());
        return [watcher];
      } catch {
        // It is not there, or there are no watches left: the timer looks all the same.
        return [];
      }
    });
  };
  arm();
  const timer = setInterval(stir, LOOK_EVERY_MS).unref();
  return () => {
    clearInterval(timer);
    if (quiet) clearTimeout(quiet);
    disarm();
  };
}
