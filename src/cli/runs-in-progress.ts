import { hostname } from 'node:os';
import type { RunFilter, RunRecord } from '../audit/runs.ts';
import type { Attachment, RunState, Status } from '../daemon/answers.ts';
import { parseTime } from '../model/time.ts';
import { daemonSocket } from './daemon-choice.ts';
import type { Output } from './output.ts';

/** A daemon that does its work answers at once. */
const PATIENCE_MS = 5000;

/** Runs as the daemon has them now, by id: what is on record of them may be a little older, or not there. */
export type InProgress = ReadonlyMap<string, RunRecord>;

/**
 * Null: there is no daemon, or it does not answer, which is told: then what is on record is all there is. Throws
 * ClientFailure for who may not ask it.
 */
export async function runsInProgress(given: string | null, output: Output): Promise<InProgress | null> {
  const socket = daemonSocket(given);
  if (socket === null) return null;
  const { Client, ClientFailure } = await import('../daemon/client.ts');
  try {
    const options = { timeoutMs: PATIENCE_MS };
    const { runs, attachments } = await new Client(socket).request<Status>('GET', '/v1/status', options);
    const records = [...runs.map(recordOfRun), ...attachments.map(recordOfAttachment)];
    return new Map(records.map((record) => [record.run, record]));
  } catch (error) {
    if (error instanceof ClientFailure && error.code === 'daemon-refused') throw error;
    output.say('warning', [
      `acyclic: the daemon does not say what is in progress: ${(error as Error).message}`,
      'runs are told of as they are on record',
    ]);
    return null;
  }
}

/** What is on record, as it is now. */
export function asItIsNow(record: RunRecord, live: InProgress | null): RunRecord {
  const now = live?.get(record.run);
  // The daemon was asked first: what has ended since is over.
  if (!now || record.state === 'ended') return record;
  const { policy, mode, calls, denials, would_deny } = now;
  return { ...record, state: 'running', policy, mode, calls, denials, would_deny };
}

/** Whether a run that is not on record yet is one of those that are meant. */
export function isMeant(run: RunRecord, { deployment, labels = {}, since, until }: RunFilter): boolean {
  const started = parseTime(run.started) ?? 0n;
  return (
    (deployment === undefined || run.deployment === deployment) &&
    Object.entries(labels).every(([key, value]) => run.labels[key] === value) &&
    (since === undefined || started >= since) &&
    (until === undefined || started < until)
  );
}

function recordOfRun(run: RunState): RunRecord {
  const { id, deployment, policy, mode, labels, command, started, calls, denials, would_deny } = run;
  return {
    ...{ v: 1, run: id, host: hostname(), deployment, policy, mode, labels, command, started, ended: null },
    ...{ state: 'running', events: 0, calls, denials, would_deny, summary: null },
  };
}

function recordOfAttachment(attachment: Attachment): RunRecord {
  const { id, deployment, policy, mode, since, calls, denials, would_deny } = attachment;
  return {
    ...{ v: 1, run: id, host: hostname(), deployment, policy, mode, labels: {}, command: [] },
    ...{
      started: since,
      ended: null,
      state: 'running',
      events: 0,
      calls,
      denials,
      would_deny,
      summary: null,
    },
  };
}
