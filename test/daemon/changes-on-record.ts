import { AuditTrail } from '../../src/audit/trail.ts';
import { type Change, changeEvent } from '../../src/daemon/policy-event.ts';

/** Puts changes on record in the trail of a state directory, as a daemon does. */
export function changesOnRecord(state: string) {
  const trail = new AuditTrail({
    directory: state,
    onNotice: ({ kind }) => process.stderr.write(`${kind}\n`),
  });
  return {
    record: (change: Change, id: string) => trail.record(changeEvent(change, { host: 'test', run: RUN }, id)),
    recorded: () => trail.flushed(),
    close: () => trail.close(),
  };
}

const RUN = '01M847K8J58W80CG5W76R9SXYJ';
