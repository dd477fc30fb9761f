import type { AuditEvent } from './event.ts';
import type { RunSummary } from './summary.ts';

/** Which of the past is asked for; null leaves that open. */
export interface PastQuery {
  readonly run: string | null;
  readonly deployment: string | null;
  /** Not before this moment. */
  readonly since: Date | null;
}

/** A run that ended, as far as the past is asked for it. */
export type PastRun = Pick<RunSummary, 'run' | 'deployment' | 'time' | 'lost'>;

/** What earlier runs called: from reports, or from the audit store. */
export interface Past {
  /** Oldest first within a run. */
  events(query: PastQuery): Iterable<AuditEvent> | AsyncIterable<AuditEvent>;
  runs(query: PastQuery): Iterable<PastRun> | AsyncIterable<PastRun>;
}
