import { Command, Option } from 'commander';
import { stateDirectory } from '../audit/state-directory.ts';
import { socketPath } from '../daemon/client.ts';
import { INSTALLED } from '../guard/installed.ts';
import { createOutput } from './output.ts';

const EXAMPLES = `
It guards the runs of whom the group of its socket lets in, and goes on until SIGTERM or SIGINT. What is guarded then
stays so, under its last policy. SIGHUP reads the policy again. It logs to standard output, a JSON object a line, and
tells systemd how it is (Type=notify). api.md in /usr/share/doc/acyclic says what it answers to whom.

--clear starts none: it takes off what a daemon that was stopped still guards, and removes what it has pinned. Runs in
progress go on unguarded, where they were started from, and are named. The package does that before it is removed.

Exit status: 0 it was stopped, or all is cleared; 1 something could not be cleared; 125 it could not start.

Examples:
  sudo acyclic daemon
  sudo acyclic daemon --metrics 127.0.0.1:9464
  sudo acyclic daemon --clear
  sudo acyclic daemon --policy ./policies --state /tmp/state --socket /run/acyclic/try.sock --log-level debug`;

interface Options {
  readonly policy: string;
  readonly state?: string;
  readonly socket?: string;
  readonly group?: string;
  readonly metrics?: string;
  readonly clear?: boolean;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** `acyclic daemon`: the guard as a service. */
export function daemonCommand(): Command {
  return new Command('daemon')
    .description('the guard as a service, from boot')
    .option('--policy <path>', 'policy directory or file', INSTALLED)
    .option('--state <dir>', 'where the audit trail is kept: $ACYCLIC_STATE, or /var/lib/acyclic')
    .option('--socket <path>', 'where it is asked: $ACYCLIC_SOCKET, or /run/acyclic/acyclic.sock')
    .option('--group <name>', 'whose members may ask, beside root (default: acyclic)')
    .option('--metrics <address>', 'serve /metrics on loopback too, as 127.0.0.1:9464')
    .option('--clear', 'take off what a stopped daemon guards, and end')
    .addOption(
      new Option('--log-level <level>', 'the least that is logged')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .addHelpText('after', EXAMPLES)
    .action(async (options: Options) => {
      await (options.clear ? clear() : serve(options));
    });
}

async function serve(options: Options): Promise<void> {
  const [{ startDaemon }, { createLog }, { readMetricsAddress }, { readLimits }] = await Promise.all([
    import('../daemon/start.ts'),
    import('../daemon/log.ts'),
    import('../daemon/metrics-port.ts'),
    import('./trail.ts'),
  ]);
  const daemon = await startDaemon({
    ...{ policy: options.policy, state: stateDirectory(options.state ?? null) },
    ...{ socket: socketPath(options.socket ?? null), group: options.group ?? null },
    metrics: options.metrics === undefined ? null : readMetricsAddress(options.metrics),
    keep: readLimits(process.env, createOutput({ quiet: false, json: false })),
    log: createLog({ level: options.logLevel }),
  });
  process.on('SIGHUP', () => void daemon.reload());
  await new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
  await daemon.stop();
  // The engine goes on in the kernel; nothing here is to be waited for.
  process.exit(0);
}

async function clear(): Promise<void> {
  const [{ clearGuards }, { tellSwept }] = await Promise.all([
    import('../daemon/clear.ts'),
    import('./teller.ts'),
  ]);
  const swept = await clearGuards();
  const output = createOutput({ quiet: false, json: false });
  for (const each of swept) tellSwept(output, each);
  process.exitCode = swept.some(({ state }) => state === 'stuck') ? 1 : 0;
}
