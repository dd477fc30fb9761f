import { hostname } from 'node:os';
import { ownIdentity } from '../audit/liveness.ts';
import { LIMITS, type Limits } from '../audit/retention.ts';
import { stateDirectory } from '../audit/state-directory.ts';
import { AuditTrail } from '../audit/trail.ts';
import type { Notice } from '../audit/writer.ts';
import type { RunPlan } from '../guard/run-plan.ts';
import type { RunSummary } from '../model/summary.ts';
import { presentTime } from '../model/time.ts';
import { readMemory } from '../policy/limits.ts';
import { isFault } from '../policy/problem.ts';
import type { Environment } from './launch.ts';
import type { Output } from './output.ts';
import { parseDuration, type RunOptions } from './run-options.ts';

const KEEP_AGE = 'ACYCLIC_KEEP_AGE';
const KEEP_SIZE = 'ACYCLIC_KEEP_SIZE';
/** Smaller than this, a trail would be deleted while it is written. */
const LEAST_BYTES = 16 << 20;

/** Begins the audit trail of a run. It never fails: what keeps it from being written is told, and waits in a spool. */
export function openTrail(options: RunOptions, output: Output): AuditTrail {
  return new AuditTrail({
    directory: stateDirectory(options.state),
    limits: readLimits(process.env, output),
    onNotice: (notice) => tellNotice(output, notice),
  });
}

/** Puts the beginning of a run on record. */
export function recordStart(
  trail: AuditTrail,
  options: RunOptions,
  plan: RunPlan,
  mode: RunSummary['mode'],
): void {
  trail.record({
    ...{
      v: 1,
      kind: 'run',
      time: presentTime(),
      host: hostname(),
      run: plan.id,
      deployment: plan.deployment,
    },
    ...{ policy: plan.policyId, mode, labels: options.labels, command: plan.mask.argv(options.command) },
    engine: ownIdentity(),
  });
  trail.hurry();
}

/** Ends the trail of a run, and tells what did not come into it. */
export async function closeTrail(trail: AuditTrail, output: Output): Promise<void> {
  const { lost, spooled, file, fault } = await trail.close();
  if (fault !== null)
    output.say('error', [`acyclic: the writer of the audit trail failed: ${fault}`], { kind: 'trail' });
  if (spooled > 0)
    output.say(
      'error',
      [`acyclic: ${spooled} records wait in ${file}; the next run puts them into the trail`],
      {
        kind: 'trail',
      },
    );
  if (lost > 0)
    output.say('error', [`acyclic: ${lost} records of this run are lost to the audit trail`], {
      kind: 'trail',
    });
}

function tellNotice(output: Output, notice: Notice): void {
  const data = { ...notice, kind: 'trail', state: notice.kind };
  switch (notice.kind) {
    case 'spooling':
      output.say(
        'error',
        [
          `acyclic: the audit trail cannot be written: ${notice.reason}`,
          `the run goes on, and its records wait in ${notice.file}; ${notice.remedy}`,
        ],
        data,
      );
      break;
    case 'losing':
      output.say(
        'error',
        [
          `acyclic: records are lost to the audit trail: ${notice.reason}`,
          `the run goes on, guarded as before; ${notice.remedy}`,
        ],
        data,
      );
      break;
    case 'recovered':
      output.say(
        'warning',
        [`acyclic: the audit trail is written again; ${notice.lines} records that had waited are in it`],
        data,
      );
  }
}

/** What is kept, as the environment has it; a mistake there is told, and the default holds. */
export function readLimits(env: Environment, output: Output): Limits {
  const age = env[KEEP_AGE];
  const size = env[KEEP_SIZE];
  const ageMs = age === undefined ? LIMITS.ageMs : parseDuration(age);
  const bytes = size === undefined ? LIMITS.bytes : readMemory(size);
  if (ageMs === null || ageMs === 0)
    output.say('warning', [
      `acyclic: ${KEEP_AGE} cannot be \`${age}\`: give it a time, such as 90d; kept are 90 days`,
    ]);
  if (isFault(bytes) || bytes < LEAST_BYTES)
    output.say('warning', [
      `acyclic: ${KEEP_SIZE} cannot be \`${size}\`: give it a size of at least 16MiB; kept is 1GiB`,
    ]);
  return {
    ageMs: ageMs || LIMITS.ageMs,
    bytes: isFault(bytes) || bytes < LEAST_BYTES ? LIMITS.bytes : bytes,
  };
}
