/** Between two goes when there is more to do: enough for lookups and records to have their turn. */
const PAUSE_MS = 10;

/**
 * Calls `lapse` now and again for as long as it is not stopped; soon, when it says that there is more. Does
 * not keep the process alive. Gives what stops it.
 */
export function keepLapsing(lapse: () => boolean, everyMs: number): () => void {
  let timer: NodeJS.Timeout;
  const wait = (ms: number) => {
    timer = setTimeout(() => wait(lapse() ? PAUSE_MS : everyMs), ms).unref();
  };
  wait(everyMs);
  return () => clearTimeout(timer);
}
