import { randomFillSync } from 'node:crypto';
import { monotonicFactory } from 'ulid';

const POOL_BYTES = 4096;

/**
 * ULIDs, each above the one before. The library asks for randomness a character at a time, sixteen system calls an
 * event: here it is drawn many at a time.
 */
export function eventIds(): () => string {
  const pool = new Uint8Array(POOL_BYTES);
  let at = POOL_BYTES;
  return monotonicFactory(() => {
    if (at === POOL_BYTES) {
      randomFillSync(pool);
      at = 0;
    }
    return (pool[at++] as number) / 256;
  });
}
