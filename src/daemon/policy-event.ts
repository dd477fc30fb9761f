import type { AuditEvent, EventChange } from '../model/event.ts';
import { presentTime } from '../model/time.ts';
import type { Who } from './answers.ts';

/** A change of what is in force, for the audit trail. */
export interface Change extends Pick<EventChange, 'what' | 'reason' | 'before' | 'changes'> {
  /** Null: nobody asked. */
  readonly who: Who | null;
  /** The policy in force from then on; null: none. */
  readonly policy: string | null;
  /** Null: of every deployment. */
  readonly deployment: string | null;
}

/** `host`, and the id under which the trail has what is of no run. */
export type ChangeCommon = Pick<AuditEvent, 'host' | 'run'>;

/** The event of a change. `id`: a ULID, of which the trail takes one event, however often it is told. */
export function changeEvent(change: Change, common: ChangeCommon, id: string): AuditEvent {
  const { what, who, reason, before, changes, policy, deployment } = change;
  const { host, run } = common;
  return {
    ...{ v: 1, id, time: presentTime(), host, run, deployment, policy, count: 1, kind: 'policy' },
    destination: null,
    process: who && {
      ...{ pid: who.pid, start: null, uid: who.uid, comm: who.comm, exe: null, argv: null, ancestry: [] },
    },
    ...{ verdict: null, rule: null, dependency: null, outcome: null, hook: null },
    change: { what, by: who?.uid ?? null, reason, before, changes },
  };
}
