import { closeSync } from 'node:fs';
import type { Limits as Retention } from '../audit/retention.ts';
import { makeDirectory } from '../audit/state-directory.ts';
import { AuditTrail } from '../audit/trail.ts';
import type { Notice } from '../audit/writer.ts';
import { Clock } from '../guard/clock.ts';
import { Engine } from '../guard/engine.ts';
import { heldListeners } from '../guard/held-sockets.ts';
import { sweep } from '../guard/sweep.ts';
import { native } from '../kernel/native.ts';
import { removeEnginePins } from '../kernel/pins.ts';
import { preflight } from '../kernel/preflight.ts';
import { loadPrograms } from '../kernel/programs.ts';
import { hasUnixConnect } from '../kernel/unix-connect.ts';
import { activatedSockets } from './activation.ts';
import { DaemonHost } from './host.ts';
import { IdleMemory } from './idle-memory.ts';
import { holdEngine } from './lock.ts';
import type { Log } from './log.ts';
import type { MetricsAddress } from './metrics-port.ts';
import { createNotifier } from './notify.ts';
import { startServer } from './server.ts';

export interface DaemonOptions {
  /** The policy directory, or a policy file. */
  readonly policy: string;
  /** The state directory. */
  readonly state: string;
  readonly socket: string;
  /** Whose members may use the socket; null: the product's. */
  readonly group: string | null;
  readonly metrics: MetricsAddress | null;
  readonly keep: Retention;
  readonly log: Log;
}

/** Descriptors of the socket units that hold queries while the daemon is started again. */
const DNS_SOCKETS = ['dns-udp4', 'dns-tcp4', 'dns-udp6', 'dns-tcp6'];

/** A daemon that serves. */
export interface Daemon {
  /** Reads the policy again. */
  reload(): Promise<void>;
  /** Stops serving and recording. What is guarded stays so, under its last policy. */
  stop(): Promise<void>;
}

/** Starts the guard as a service. Throws DaemonFailure, SetupFailure, AuditFailure and PolicyFailure. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { state, log } = options;
  preflight();
  makeDirectory(state);
  const lock = holdEngine();
  try {
    for (const swept of await sweep()) log.warn({ ...swept }, 'what a killed engine left was looked at');
    const trail = new AuditTrail({
      ...{ directory: state, limits: options.keep },
      onNotice: (notice) => tellNotice(log, notice),
    });
    const modes = ['enforce', 'audit'] as const;
    const programs = await loadPrograms(modes, { syscalls: true, closes: hasUnixConnect(), pinned: true });
    const sockets = activatedSockets();
    const held = heldListeners(DNS_SOCKETS.flatMap((name) => sockets.get(name) ?? []));
    const engine = new Engine(programs, new Clock(() => native().clocks()), {
      flushed: () => trail.flushed(),
      ...(held.length > 0 && { held }),
    });
    const memory = new IdleMemory();
    const host = new DaemonHost({ memory, engine, trail, log, state, policy: options.policy });
    await host.begin();
    const [control] = sockets.get('control') ?? [];
    const server = await startServer({
      ...{ host, log, metrics: options.metrics, ...(options.group !== null && { group: options.group }) },
      listen: control === undefined ? { path: options.socket } : { fd: control },
    });
    const notifier = createNotifier({ well: () => host.isWell, log });
    notifier.ready('guards and serves');
    memory.used();
    log.info({ pid: process.pid, policy: host.policyId }, 'the daemon guards and serves');
    return {
      async reload() {
        notifier.reloading();
        try {
          await host.reload();
        } catch (error) {
          log.error(
            { error: (error as Error).message },
            'the policy was not read again: the one before stays',
          );
        }
        notifier.ready('guards and serves');
      },
      async stop() {
        notifier.stopping();
        await server.close();
        await host.close();
        await engine.close();
        // Where nothing is guarded there is nothing to be taken over.
        if (host.isIdle) removeEnginePins();
        await trail.close();
        notifier.close();
        memory.close();
        await log.close();
        closeSync(lock);
      },
    };
  } catch (error) {
    closeSync(lock);
    throw error;
  }
}

function tellNotice(log: Log, notice: Notice): void {
  const { kind, ...what } = notice;
  if (kind === 'recovered') log.info(what, 'the audit trail is written again');
  else if (kind === 'spooling') log.error(what, 'the audit trail cannot be written, and its records wait');
  else log.error(what, 'records are lost to the audit trail');
}
