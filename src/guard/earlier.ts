import { setImmediate as turn } from 'node:timers/promises';
import { AuditFailure } from '../audit/failure.ts';
import type { Past } from '../model/past.ts';
import { SeenDestinations } from '../policy/seen.ts';
import { ownAddresses } from './own-addresses.ts';

/** The past may be millions of events, and whoever reads it has a heartbeat to keep and others to answer. */
const SLICE_MS = 1;

/**
 * What runs of a deployment called, other than `except`; null where there is none. Throws AuditFailure or
 * ReportFailure.
 */
export async function destinationsSeen(
  past: Past,
  deployment: string | null,
  except: string | null = null,
): Promise<SeenDestinations | null> {
  const query = { run: null, deployment, since: null };
  const seen = new SeenDestinations(ownAddresses());
  let runs = 0;
  try {
    for await (const run of inSlices(past.runs(query)))
      if (run.deployment === deployment && run.run !== except) runs++;
    for await (const event of inSlices(past.events(query)))
      if (event.attached === undefined && event.deployment === deployment && event.run !== except)
        seen.add(event);
  } catch (error) {
    if (!(error instanceof AuditFailure) || error.code !== 'no-store') throw error;
  }
  return runs > 0 ? seen : null;
}

async function* inSlices<T>(all: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  let until = performance.now() + SLICE_MS;
  for await (const one of all) {
    yield one;
    if (performance.now() < until) continue;
    await turn();
    until = performance.now() + SLICE_MS;
  }
}

/** That there is none. */
export function noEarlierRun(deployment: string | null): string {
  const whose = deployment === null ? '' : ` of ${deployment}`;
  return `there is no earlier run${whose}, so no destination of this one is new`;
}
