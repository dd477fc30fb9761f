import type { OutcomeRecord, ReturnRecord } from '../kernel/records.ts';
import type { ConnectResult, EventOutcome } from '../model/event.ts';
import { errnoName } from './errno.ts';
import type { Recorded } from './recorder.ts';

/** What is known of how a call went; what is absent was not seen. */
export interface Course {
  /** Its system call failed. */
  returned?: ReturnRecord;
  connected?: OutcomeRecord;
  closed?: OutcomeRecord;
}

const RESULTS: Readonly<Record<string, ConnectResult>> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timed-out',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
};

/** Whether no connection came about. */
export function failed({ returned, connected, closed }: Course): boolean {
  if (connected || closed?.established) return false;
  return (returned?.errno ?? 0) !== 0 || (closed !== undefined && closed.errno !== 0);
}

/** The event with what its course adds. `began`: of the attempt, CLOCK_MONOTONIC nanoseconds. */
export function withCourse(recorded: Recorded, course: Course, began: bigint): Recorded {
  const { event } = recorded;
  const outcome = outcomeOf(event.outcome, course, began, event.verdict === 'deny');
  return { ...recorded, event: { ...event, outcome } };
}

function outcomeOf(
  before: EventOutcome | null,
  { returned, connected, closed }: Course,
  began: bigint,
  denied: boolean,
): EventOutcome | null {
  const us = (from: bigint, to: bigint) => Math.round(Number(to - from) / 1000);
  const returnedUs = returned ? us(returned.since, returned.time) : null;
  if (denied) return before && { ...before, duration_us: before.duration_us ?? returnedUs };
  const wasThere = connected !== undefined || (closed?.established ?? false);
  const errno = wasThere ? errnoName(closed?.errno ?? 0) : errnoName(closed?.errno || (returned?.errno ?? 0));
  const result = wasThere
    ? errno === 'ECONNRESET'
      ? 'reset'
      : 'connected'
    : errno === null
      ? closed
        ? 'abandoned'
        : null
      : (RESULTS[errno] ?? 'failed');
  const until = connected?.time ?? (wasThere ? null : closed?.time);
  const duration = until ? us(began, until) : returnedUs;
  if (errno === null && result === null && duration === null) return before;
  return {
    errno: before?.errno ?? errno,
    duration_us: before?.duration_us ?? duration,
    result,
    bytes_sent: wasThere && closed ? closed.sent : null,
    bytes_received: wasThere && closed ? closed.received : null,
  };
}
