import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import type { Status } from '../daemon/answers.ts';
import { addPlaceOptions, type PlaceOptions } from './audit-options.ts';
import { daemonSocket } from './daemon-choice.ts';
import { createPrinter } from './print.ts';

const DEGRADED = 1;
const NOT_RUNNING = 3;
/** A daemon that does its work answers at once. */
const PATIENCE_MS = 5000;

const EXAMPLES = `
Exit status: 0 the daemon runs and all is well, 1 it runs and something is wrong, or it does not answer, 3 it does not
run: then each run is guarded by the command that starts it. 2: the question could not be answered. What is wrong is told
also where it does not run, and is \`degraded\` in JSON.

Examples:
  acyclic status
  acyclic status --json | jq -r '.degraded[].message'
  acyclic status --json | jq '.runs[] | {run, deployment, counts}'`;

interface StatusOptions extends PlaceOptions {
  readonly socket?: string;
}

/** `acyclic status`: what is guarded now, by which policy, and what is wrong. */
export function statusCommand(): Command {
  const command = new Command('status').description('what is guarded now, and what is wrong');
  return addPlaceOptions(command, 'one JSON object')
    .option('--socket <path>', 'of the daemon: $ACYCLIC_SOCKET, or /run/acyclic/acyclic.sock')
    .addHelpText('after', EXAMPLES)
    .action(async (options: StatusOptions) => {
      const socket = options.state === undefined ? daemonSocket(options.socket ?? null) : null;
      const silent = socket === null ? null : await tellDaemon(socket, options);
      if (socket === null || silent !== null) await tellHost(options, silent);
    });
}

/** Null: the daemon has spoken. Otherwise why it has not; throws what is neither there nor silent. */
async function tellDaemon(socket: string, { json }: StatusOptions): Promise<string | null> {
  const { Client, ClientFailure } = await import('../daemon/client.ts');
  let status: Status;
  try {
    status = await new Client(socket).request<Status>('GET', '/v1/status', { timeoutMs: PATIENCE_MS });
  } catch (error) {
    if (!(error instanceof ClientFailure) || error.code === 'daemon-refused') throw error;
    process.exitCode = error.code === 'no-daemon' ? NOT_RUNNING : DEGRADED;
    return error.message;
  }
  const printer = createPrinter();
  const { formatDaemonStatus } = await import('./daemon-status-text.ts');
  printer.print(
    json ? [JSON.stringify(statusObject(status))] : formatDaemonStatus(status, new Date(), printer),
  );
  process.exitCode = status.degraded.length > 0 ? DEGRADED : 0;
  return null;
}

/** As the daemon has it, and as a host without one is told of, so that one question fits both. */
function statusObject({ degraded, runs, ...status }: Status): object {
  return {
    ...{ v: 1, state: degraded.length > 0 ? 'degraded' : 'running', ...status },
    degraded: degraded.map((message) => ({ code: 'daemon', message })),
    runs: runs.map((run) => {
      const { id, started, calls, denials, would_deny } = run;
      return { ...run, run: id, since: started, counts: { calls, denials, would_deny } };
    }),
  };
}

/** What there is without the daemon. `silent`: why one that should be there says nothing. */
async function tellHost({ state, json }: StatusOptions, silent: string | null): Promise<void> {
  const [{ stateDirectory }, { readStatus }, { formatStatus }] = await Promise.all([
    import('../audit/state-directory.ts'),
    import('../guard/status.ts'),
    import('./status-text.ts'),
  ]);
  const now = new Date();
  const found = await readStatus(stateDirectory(state ?? null), now);
  const degraded =
    silent === null ? found.degraded : [{ code: 'daemon' as const, message: silent }, ...found.degraded];
  const status = { ...found, degraded };
  const { version } = manifest;
  const printer = createPrinter();
  const hung = process.exitCode === DEGRADED;
  printer.print(
    json
      ? [JSON.stringify({ v: 1, version, state: hung ? 'degraded' : 'not-running', ...status })]
      : formatStatus(version, status, now, printer, hung),
  );
  if (!hung) process.exitCode = NOT_RUNNING;
}
