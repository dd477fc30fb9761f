import type { Entry, PolicyAnswer } from '../daemon/answers.ts';
import { Client, ClientFailure, DaemonAnswer } from '../daemon/client.ts';
import { liveEntryOf } from '../daemon/entry.ts';
import { INSTALLED } from '../guard/installed.ts';
import { parseDest } from '../policy/dest.ts';
import type { LiveEntry } from '../policy/live.ts';
import { parsePolicy } from '../policy/parse.ts';
import type { Policy } from '../policy/policy.ts';
import { isFault } from '../policy/problem.ts';
import { daemonSocket } from './daemon-choice.ts';
import { Failure } from './output.ts';
import { requirePolicy } from './policy-loading.ts';

/** A policy, and what is known of live entries above it. */
export interface PolicyInForce {
  readonly policy: Policy;
  readonly id: string;
  /** The file or directory it is kept in. */
  readonly source: string;
  /** Null: they were not looked at. */
  readonly live: readonly LiveEntry[] | null;
  /** Why not; null where they were. */
  readonly why: string | null;
}

/** A daemon that does its work answers at once. */
const OPTIONS = { timeoutMs: 5000 };

/**
 * The policy given. Without one that which is in force: as the daemon has it, with its live entries, or where there is
 * no daemon, or it does not answer, the installed one. Throws PolicyFailure, and Failure where there is none.
 */
export async function policyInForce(
  path: string | undefined,
  socket: string | undefined,
): Promise<PolicyInForce> {
  if (path !== undefined && socket !== undefined)
    throw new Failure(
      'contradiction',
      '-p and --socket: the daemon has a policy of its own',
      'leave one of them out',
    );
  const at = path === undefined ? daemonSocket(socket ?? null) : null;
  let why =
    path === undefined ? 'there is no daemon' : 'this policy was given, and they are above the one in force';
  if (at !== null) {
    try {
      return await ofDaemon(new Client(at));
    } catch (error) {
      const silent = error instanceof ClientFailure || error instanceof DaemonAnswer;
      if (!silent || socket !== undefined) throw error;
      why = error.message;
    }
  }
  const { policy, id } = requirePolicy(path);
  return { policy, id, source: path ?? INSTALLED, live: null, why };
}

async function ofDaemon(client: Client): Promise<PolicyInForce> {
  const [{ id, source, files }, entries] = await Promise.all([
    client.request<PolicyAnswer>('GET', '/v1/policy', OPTIONS),
    client.request<readonly Entry[]>('GET', '/v1/entries', OPTIONS),
  ]);
  // What it stages is not asked for, and may be for root alone to read.
  const { policy } = parsePolicy(files);
  if (id === null || source === null || !policy)
    throw new Failure('bad-value', 'the daemon has no policy in force', 'give one with -p');
  const live = entries.flatMap((entry) => {
    const dest = parseDest(entry.destination);
    return isFault(dest) ? [] : [liveEntryOf(entry, dest)];
  });
  return { policy, id, source, live, why: null };
}
