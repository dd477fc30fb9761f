import type { AuditEvent } from '../model/event.ts';
import type { Past, PastQuery } from '../model/past.ts';
import type { RunSummary } from '../model/summary.ts';
import type { EventFilter } from './filter.ts';
import { TrailReader } from './reader.ts';

const NS_PER_MS = 1_000_000n;

/** The past as the audit trail of a state directory has it, opened anew each time it is asked for. Throws AuditFailure. */
export function pastOfTrail(directory: string): Past {
  return {
    *events(query) {
      for (const event of recorded(directory, query)) if (!('lost' in event)) yield event;
    },
    *runs(query) {
      for (const event of recorded(directory, query, { kind: 'summary' })) if ('lost' in event) yield event;
    },
  };
}

function* recorded(
  directory: string,
  { run, deployment, since }: PastQuery,
  filter: EventFilter = {},
): Generator<AuditEvent | RunSummary> {
  const reader = new TrailReader(directory);
  try {
    yield* reader.events({
      ...filter,
      run: run === null ? undefined : reader.uniqueId('run', run),
      deployment: deployment ?? undefined,
      since: since === null ? undefined : BigInt(since.getTime()) * NS_PER_MS,
    });
  } finally {
    reader.close();
  }
}
