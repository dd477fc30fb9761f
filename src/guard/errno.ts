import { constants } from 'node:os';

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** Symbolic; null for 0. */
export function errnoName(errno: number): string | null {
  return errno === 0 ? null : (ERRNO_NAMES.get(errno) ?? String(errno));
}
