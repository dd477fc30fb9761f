/** A time as events have it, `2026-11-23T03:20:33.123456789Z`: RFC 3339, UTC, nanoseconds. */
export type Timestamp = string;

const TIMESTAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/;

/** From nanoseconds since 1970, of years that have four digits. */
export function formatTime(nanoseconds: bigint): Timestamp {
  const milliseconds = Number(nanoseconds / 1_000_000n);
  const rest = String(nanoseconds % 1_000_000n).padStart(6, '0');
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${rest}Z`;
}

/** Nanoseconds since 1970; null when it is no such time. Fewer digits of a second are taken too. */
export function parseTime(text: string): bigint | null {
  const [, seconds, fraction = ''] = TIMESTAMP.exec(text) ?? [];
  const milliseconds = Date.parse(`${seconds}Z`);
  if (seconds === undefined || Number.isNaN(milliseconds)) return null;
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

/** The present, as well as the system's clock of milliseconds tells it. */
export function presentTime(): Timestamp {
  return formatTime(BigInt(Date.now()) * 1_000_000n);
}
