import { destinationsSeen, noEarlierRun } from '../guard/earlier.ts';
import type { RunPlan } from '../guard/run-plan.ts';
import type { SeenDestinations } from '../policy/seen.ts';
import type { Output } from './output.ts';
import { openPast } from './past.ts';
import type { RunOptions } from './run-options.ts';

/**
 * What earlier runs of the same deployment called; null where `--fail-on new` does not ask, or where there is
 * no earlier run, which is said: then nothing is new. Throws AuditFailure or ReportFailure.
 */
export async function earlierDestinations(
  { failOn, baseline, state, breakGlass }: RunOptions,
  { deployment }: RunPlan,
  output: Output,
): Promise<SeenDestinations | null> {
  if (failOn !== 'new') return null;
  try {
    const seen = await destinationsSeen(openPast({ report: baseline, state }, output), deployment);
    if (!seen) output.say('warning', [`acyclic: ${noEarlierRun(deployment)}`]);
    return seen;
  } catch (error) {
    if (breakGlass === null) throw error;
    output.say('warning', [`acyclic: nothing to compare destinations with: ${(error as Error).message}`]);
    return null;
  }
}
