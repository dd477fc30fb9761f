import { hostname } from 'node:os';
import { ulid } from 'ulid';
import type { RunPlan } from '../guard/run-plan.ts';
import type { AuditEvent } from '../model/event.ts';
import { presentTime } from '../model/time.ts';
import type { CreateRunBody } from './contract.ts';
import type { Peer } from './host-interface.ts';
import type { Shared } from './hosted-run.ts';

/** Breaking the glass must not become an outage of its own. */
const PATIENCE_MS = 2000;

/** Puts on record that nothing is denied to a run, who asked for that and why: in the journal and the audit trail. */
export async function recordBrokenGlass(
  { trail, log }: Pick<Shared, 'trail' | 'log'>,
  peer: Peer,
  plan: RunPlan,
  { breakGlass, command }: CreateRunBody,
): Promise<void> {
  const argv = plan.mask.argv(command);
  log.warn({ run: plan.id, uid: peer.uid, pid: peer.pid, command: argv, reason: breakGlass }, 'break glass');
  trail.record(eventOf(peer, plan, argv, breakGlass));
  await trail.flushed(PATIENCE_MS);
}

function eventOf(
  { uid, pid }: Peer,
  { id: run, deployment, policyId }: RunPlan,
  argv: readonly string[],
  reason: string | null,
): AuditEvent {
  return {
    ...{
      v: 1,
      id: ulid(),
      time: presentTime(),
      host: hostname(),
      run,
      deployment,
      policy: policyId,
      count: 1,
    },
    ...{ kind: 'policy', destination: null, verdict: null, dependency: null, outcome: null, hook: null },
    process: { pid, start: null, uid, comm: 'acyclic', exe: null, argv: [...argv], ancestry: [] },
    rule: { source: '--break-glass', kind: 'option', reason, owner: `uid ${uid}` },
  };
}
