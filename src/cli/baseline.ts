import { AuditFailure } from '../audit/failure.ts';
import { ownAddresses } from '../guard/own-addresses.ts';
import type { RunPlan } from '../guard/run-plan.ts';
import { SeenDestinations } from '../policy/seen.ts';
import type { Output } from './output.ts';
import { openPast, type PastPlace } from './past.ts';
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
    return await readEarlier({ report: baseline, state }, deployment, output);
  } catch (error) {
    if (breakGlass === null) throw error;
    output.say('warning', [`acyclic: nothing to compare destinations with: ${(error as Error).message}`]);
    return null;
  }
}

async function readEarlier(
  place: PastPlace,
  deployment: string | null,
  output: Output,
): Promise<SeenDestinations | null> {
  const past = openPast(place, output);
  const query = { run: null, deployment, since: null };
  const seen = new SeenDestinations(ownAddresses());
  let runs = 0;
  try {
    for await (const run of past.runs(query)) if (run.deployment === deployment) runs++;
    for await (const event of past.events(query))
      if (event.attached === undefined && event.deployment === deployment) seen.add(event);
  } catch (error) {
    if (!(error instanceof AuditFailure) || error.code !== 'no-store') throw error;
  }
  if (runs > 0) return seen;
  const whose = deployment === null ? '' : ` of ${deployment}`;
  output.say('warning', [`acyclic: there is no earlier run${whose}, so no destination of this one is new`]);
  return null;
}
