import { parseTime } from '../model/time.ts';
import { Failure, harmless } from './output.ts';
import { parseDuration } from './run-options.ts';

const DAY_MS = 86_400_000;
const NS_PER_MS = 1_000_000n;
/** What the store can hold: in the year 2262. */
const LATEST = 2n ** 63n - 1n;

/**
 * A point in time as people give it: `7d` (ago), `now`, `today`, `yesterday`, `2026-11-23`, `2026-11-23 03:20`, or
 * RFC 3339. UTC, unless it has an offset. Nanoseconds since 1970, which the store can hold. Throws Failure.
 */
export function readWhen(option: string, text: string, now: number = Date.now()): bigint {
  const ago = parseDuration(text);
  if (ago !== null) return BigInt(Math.max(0, now - ago)) * NS_PER_MS;
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  const named = { now, today, yesterday: today - DAY_MS }[text];
  if (named !== undefined) return BigInt(named) * NS_PER_MS;
  const [, day, clock = '00:00', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  const time = parseTime(`${day}T${clock.length === 5 ? `${clock}:00` : clock}Z`);
  if (day === undefined || time === null)
    throw new Failure(
      'bad-value',
      `${option} cannot be \`${harmless(text)}\``,
      'give it a time, such as 7d, 2h, today, 2026-11-23 or "2026-11-23 03:20" (UTC)',
    );
  const exact = time - offsetOf(zone);
  return exact < 0n ? 0n : exact > LATEST ? LATEST : exact;
}

function offsetOf(zone: string): bigint {
  const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(zone) ?? [];
  const offset = (BigInt(hours ?? 0) * 60n + BigInt(minutes ?? 0)) * 60_000n * NS_PER_MS;
  return sign === '-' ? -offset : offset;
}
