import { hash, randomFillSync } from 'node:crypto';
import { encodeTime, monotonicFactory } from 'ulid';

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

/** What an event is of: no two of a run are of the same. */
export interface EventOrigin {
  readonly kind: string;
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly time: bigint;
  readonly pid: number;
  /** The socket it was made on, or what it was about. */
  readonly of: bigint | string;
}

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const TIME_CHARACTERS = 10;

/**
 * ULIDs that are the same whenever they are made, so that what is recorded twice, by a process and by the one that took
 * its place, is kept once. `offset`: the wall clock's distance from CLOCK_MONOTONIC when the run began, nanoseconds.
 */
export function steadyEventIds(run: string, offset: bigint): (origin: EventOrigin) => string {
  return ({ kind, time, pid, of }) => {
    const digest = hash('sha1', `${run} ${kind} ${time} ${pid} ${of}`, 'buffer');
    return encodeTime(Number((time + offset) / 1_000_000n), TIME_CHARACTERS) + base32(digest, 10);
  };
}

/** Of so many bytes, a multiple of five. */
function base32(bytes: Uint8Array, count: number): string {
  let text = '';
  for (let bit = 0; bit < count * 8; bit += 5) {
    const at = bit >> 3;
    const pair = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    text += DIGITS[(pair >> (11 - (bit & 7))) & 31];
  }
  return text;
}
