import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, type ClientFiles } from './client.ts';
import { emptyNamespace, startHolder } from './namespace.ts';
import { connectNamespaces, type NetworkPlan } from './network.ts';
import { SandboxError } from './sandbox-error.ts';
import { WorldHandle } from './world-handle.ts';

export interface SandboxOptions {
  readonly network: NetworkPlan;
  /** Given the sandbox's directory. */
  readonly client: (dir: string) => ClientFiles;
  /** The command that calls `serveWorld`. */
  readonly world: readonly string[];
  /** Given to the world's servers, as JSON; it may need files made in the sandbox's directory. */
  readonly plan: (dir: string) => Promise<unknown>;
  /** Names the temporary directory. */
  readonly name: string;
}

/** Two network namespaces, a client and a world, with nothing else on either end of the wire. */
export interface Sandbox {
  readonly client: Client;
  readonly world: WorldHandle;
  /** A temporary directory that goes with the sandbox. */
  readonly dir: string;
  /** Ends every process in it and removes every trace. Safe to call twice. */
  stop(): Promise<void>;
}

const PATIENCE_MS = 3000;

/** Needs root. If any step fails, what was made before it is undone and nothing was run. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  if (process.getuid?.() !== 0) {
    throw new SandboxError('making network namespaces needs root', 'run it with sudo');
  }
  const undo: (() => Promise<unknown>)[] = [];
  let stopped: Promise<void> | null = null;
  const stop = () => {
    stopped ??= undoAll(undo);
    return stopped;
  };
  try {
    const dir = await mkdtemp(path.join(tmpdir(), `${options.name}-`));
    undo.push(() => rm(dir, { recursive: true, force: true }));
    // Commands in the sandbox may run as another user.
    await chmod(dir, 0o755);
    const planning = options.plan(dir);
    const world = await WorldHandle.start(options.world).catch(async (error) => {
      await planning.catch(() => undefined);
      throw error;
    });
    undo.push(() => world.stop(PATIENCE_MS));
    const plan = await planning;
    const holder = await startHolder();
    undo.push(async () => {
      holder.process.stdin?.end();
    });
    await connectNamespaces(holder.namespace, world.namespace, options.network);
    await world.open(plan);
    const client = await Client.create(holder.namespace, dir, options.client(dir));
    undo.push(() => {
      client.close();
      return emptyNamespace(holder.namespace, PATIENCE_MS, () => client.pids());
    });
    return { client, world, dir, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs the steps last first; one that fails does not keep the others from running. */
async function undoAll(steps: (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps.reverse()) await step().catch((error) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, 'the sandbox could not be cleared away');
}
