import { setTimeout as sleep } from 'node:timers/promises';
import { SetupFailure } from '../kernel/failure.ts';
import { isAlive, type RunEntry, readEntries } from './registry.ts';
import { lift } from './sweep.ts';
import { resolveTarget, type Target } from './target.ts';

/** How long an engine is waited for, which has its last records to read and its trail to close. */
const LIMIT_MS = 15_000;
const POLL_MS = 20;
const MOST_NAMED = 8;

/** Which attaches are meant: by the beginning of an id, by service, or by where they are. */
export interface Attached {
  readonly id?: string | undefined;
  readonly service?: string | undefined;
  readonly target: Target | null;
}

/**
 * Ends the attaches that are meant and waits for their end; the guard of one whose engine is gone is lifted. Throws
 * SetupFailure `not-root`, `not-attached` and those of `resolveTarget`.
 */
export async function detach(which: Attached): Promise<RunEntry[]> {
  if (process.geteuid?.() !== 0)
    throw new SetupFailure('not-root', 'detaching needs root', 'run it with sudo');
  const meant = await choose(which);
  for (const entry of meant) refuseOfDaemon(entry);
  for (const entry of meant) await end(entry);
  return meant;
}

async function choose({ id, service, target }: Attached): Promise<RunEntry[]> {
  const all = readEntries().filter(({ attached }) => attached !== undefined);
  const prefix = id?.toUpperCase();
  const cgroup = target && (await resolveTarget(target));
  const found = all.filter((entry) =>
    cgroup
      ? entry.attached?.id === String(cgroup.id)
      : prefix === undefined
        ? entry.attached?.service === service
        : prefix !== '' && entry.id.startsWith(prefix),
  );
  if (found.length === 0)
    throw new SetupFailure('not-attached', `nothing is attached by that name`, listed(all));
  if (prefix !== undefined && found.length > 1)
    throw new SetupFailure('not-attached', `several attaches begin with ${id}`, listed(found));
  return found;
}

function listed(entries: readonly RunEntry[]): string {
  if (entries.length === 0) return 'there is no attach at all';
  const shown = entries.slice(0, MOST_NAMED).map(({ id, cgroup, attached }) => {
    const name = attached?.service ?? attached?.deployment;
    return `${id} (${name == null ? '' : `${name}, `}${cgroup})`;
  });
  return `there is ${shown.join(', ')}`;
}

/** A signal would end the daemon, and leave all its other runs without names. */
function refuseOfDaemon({ id, hosted }: RunEntry): void {
  if (hosted)
    throw new SetupFailure(
      'not-attached',
      `attach ${id} is the daemon's, which was not asked`,
      'have the daemon end it: acyclic detach, with its --socket; if it is gone for good: acyclic daemon --clear',
    );
}

/** The pid is that of the engine only while its start is the same: nobody else is sent a signal. */
async function end(entry: RunEntry): Promise<void> {
  if (isAlive(entry.engine)) signal(entry.engine.pid);
  const until = performance.now() + LIMIT_MS;
  while (isAlive(entry.engine)) {
    if (performance.now() > until)
      throw new SetupFailure(
        'not-attached',
        `process ${entry.engine.pid} was told to detach ${entry.id}, and goes on`,
        'look at what it says, or end it with SIGKILL and detach again',
      );
    await sleep(POLL_MS);
  }
  if (readEntries().some(({ id }) => id === entry.id)) lift(entry);
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
