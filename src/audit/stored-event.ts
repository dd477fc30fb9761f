import type { AuditEvent } from '../model/event.ts';
import type { RunSummary } from '../model/summary.ts';
import { formatTime } from '../model/time.ts';
import type { Decision } from './line.ts';

/** An event as the store gives it back, its shared parts parsed. */
export interface StoredEvent {
  readonly id: string;
  readonly time: bigint;
  readonly run: string;
  readonly count: number | null;
  readonly decision: Decision;
  readonly destination: AuditEvent['destination'];
  readonly process: AuditEvent['process'];
  readonly durationUs: number | null;
  readonly outcome: string | null;
  readonly rest: string | null;
}

/** The event or summary again, its fields in the order of docs/events.md, those not known here last. */
export function putTogether(stored: StoredEvent): AuditEvent | RunSummary {
  const { id, run, destination, process } = stored;
  const { v, host, deployment, policy, kind, errno = null, ...decided } = stored.decision;
  const { verdict = null, rule = null, dependency = null, hook = null } = decided;
  const head = { v, id, time: formatTime(stored.time), host, run, deployment, policy };
  const rest = stored.rest === null ? {} : JSON.parse(stored.rest);
  if (kind === 'summary') return { ...head, kind, ...rest };
  const outcome = stored.outcome && {
    ...{ errno, duration_us: stored.durationUs },
    ...JSON.parse(stored.outcome),
  };
  return {
    ...{ ...head, count: stored.count ?? 1, kind, destination, process },
    ...{ verdict, rule, dependency, outcome, hook },
    ...rest,
  };
}
