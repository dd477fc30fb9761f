import { pastOfTrail } from '../audit/past.ts';
import { stateDirectory } from '../audit/state-directory.ts';
import { pastOfReports } from '../guard/report-reader.ts';
import type { Past } from '../model/past.ts';
import { Failure, harmless, type Output } from './output.ts';
import { parseDuration } from './run-options.ts';
import { tellWaiting } from './tell-waiting.ts';

/** Where the past is to be read from: reports where any are given, and otherwise the audit trail. */
export interface PastPlace {
  readonly report?: readonly string[] | undefined;
  /** State directory, when not the usual one. */
  readonly state?: string | null | undefined;
}

/** The past, which is read only as it is asked for: then it throws AuditFailure or ReportFailure. */
export function openPast({ report = [], state = null }: PastPlace, output: Output): Past {
  if (report.length > 0) return pastOfReports(report, (text) => output.say('warning', [text]));
  const directory = stateDirectory(state);
  tellWaiting(directory, output);
  return pastOfTrail(directory);
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
