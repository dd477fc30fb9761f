import { pastOfReports } from '../guard/report-reader.ts';
import type { Past } from '../model/past.ts';
import { Failure, harmless, type Output } from './output.ts';
import { parseDuration } from './run-options.ts';

/**
 * Where the past is read from. This is the one place that chooses: reports where they are given, as `option`
 * says, and otherwise the audit store, once there is one. Throws Failure.
 */
export function openPast(reports: readonly string[], option: string, output: Output): Past {
  if (reports.length > 0) return pastOfReports(reports, (text) => output.say('warning', [text]));
  throw new Failure(
    'not-in-force',
    'there is no audit store yet to look back in',
    `give the report of an earlier run: ${option} FILE`,
  );
}

/** The past, where there is any to read: the store, once there is one, needs no report. */
export function pastIfAny(reports: readonly string[], output: Output): Past | null {
  return reports.length > 0 ? openPast(reports, '--report', output) : null;
}

/** The moment `--since` names: that long ago (`7d`, `12h`), or a day or time (`2026-11-23`). Throws Failure. */
export function readSince(given: string, now: Date): Date {
  const ago = parseDuration(given);
  const date = ago === null ? new Date(/^\d{4}-\d\d-\d\d/.test(given) ? given : Number.NaN) : null;
  const since = date ?? new Date(now.getTime() - (ago ?? 0));
  if (!Number.isNaN(since.getTime())) return since;
  throw new Failure(
    'bad-value',
    `--since cannot be \`${harmless(given)}\``,
    'give it a time, such as 7d or 12h, or a date',
  );
}
