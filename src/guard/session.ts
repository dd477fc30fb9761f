import { ownCgroup } from '../kernel/cgroup.ts';
import { native } from '../kernel/native.ts';
import { preflight } from '../kernel/preflight.ts';
import { loadPrograms, type Programs } from '../kernel/programs.ts';
import { Clock } from './clock.ts';
import { closedTo } from './closed-sockets.ts';
import { Engine } from './engine.ts';
import { guardRun, type RunGuard, type RunGuardOptions } from './run-guard.ts';
import { UndoList } from './undo.ts';

/** One run with an engine of its own, started by this process. */
export interface SessionOptions extends Omit<RunGuardOptions, 'starter'> {
  /** Programs that are being loaded; they are closed with the session. Without, or of another mode: loaded now. */
  readonly programs?: Promise<Programs> | null;
}

/** Sets up engine and guard, all or nothing: what was done is undone when a step fails. Throws SetupFailure. */
export async function startSession(options: SessionOptions): Promise<RunGuard> {
  const undo = new UndoList();
  try {
    preflight();
    const closed = await closedTo(options.policy);
    const starter = { pid: process.pid, cgroup: ownCgroup() };
    const engineFor = async () => {
      const engine = new Engine(
        await programsFor(options, closed.length > 0),
        new Clock(() => native().clocks()),
      );
      undo.add('engine', () => engine.close());
      engine.start();
      return engine;
    };
    if (options.policy.observeUnits)
      options.onUnwatched('units that the run sets going (`observe_units`), which is for the daemon to do');
    return await guardRun({ ...options, starter }, closed, engineFor, undo);
  } catch (error) {
    await undo.run();
    throw error;
  }
}

/**
 * Those that were loaded ahead, if they can do what the run needs. They may be more than it needs: where those were
 * refused, less may not be, and where it is, that is told.
 */
async function programsFor(
  { policy, programs, syscalls }: SessionOptions,
  closes: boolean,
): Promise<Programs> {
  const ready = await programs?.catch(() => null);
  if (ready?.modes.includes(policy.mode) && (ready.closes || !closes)) return ready;
  ready?.close();
  return loadPrograms([policy.mode], { syscalls, closes });
}
