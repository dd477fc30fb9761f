import { pastOfTrail } from '../audit/past.ts';
import { stateDirectory } from '../audit/state-directory.ts';
import { pastOfReports } from '../guard/report-reader.ts';
import type { Past } from '../model/past.ts';
import type { Output } from './output.ts';
import { tellWaiting } from './tell-waiting.ts';
import { readWhen } from './when.ts';

const NS_PER_MS = 1_000_000n;

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

/** The moment `--since` names, as `readWhen` has it. Throws Failure. */
export function readSince(given: string): Date {
  return new Date(Number(readWhen('--since', given) / NS_PER_MS));
}
