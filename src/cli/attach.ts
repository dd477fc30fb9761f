import { Command } from 'commander';
import { addAttachOptions, readAttachOptions } from './attach-options.ts';
import { attachThroughDaemon, foregroundOnly } from './daemon-attach.ts';
import { daemonSocket } from './daemon-choice.ts';
import { createOutput } from './output.ts';

const EXAMPLES = `
Where the daemon runs it is the daemon that attaches, and goes on until acyclic detach. Otherwise, or with --service, -p,
--for, --report, --label, --state or --no-syscalls, which only an attach in the foreground knows, it stays here.

In the foreground it stays until SIGINT or SIGTERM, until the cgroup is gone, or as long as --for says; then the guard
is taken off, and the processes go on. Nothing in the cgroup is moved, stopped or removed. Connections that are there
already are listed and left alone.
Exit status: 0 it ended as it was to; 125 it could not be attached, or the guard was lost.

Examples:
  sudo acyclic attach --service migrations --unit migrations -p acyclic.yaml   what it calls goes into acyclic graph
  sudo acyclic attach --service github --container 3f9c2a1b --for 10m
  sudo acyclic attach --pid 4242                                               watch what runs, without a policy
  sudo acyclic attach -d mysql -p acyclic.yaml --enforce --cgroup /system.slice/deploy-mysql.service`;

/** `acyclic attach`: guards or observes an existing cgroup. */
export function attachCommand(): Command {
  const command = addAttachOptions(
    new Command('attach').description('guard or observe what already runs'),
  ).addHelpText('after', EXAMPLES);
  return command.action(async () => {
    const options = readAttachOptions(command);
    const daemon = daemonSocket(options.socket);
    const alone = foregroundOnly(options);
    if (daemon !== null && alone.length === 0) {
      process.exitCode = await attachThroughDaemon(options, daemon);
      return;
    }
    if (daemon !== null)
      createOutput(options).say('info', [
        `acyclic: attached without the daemon, which does not know ${alone.join(', ')}`,
      ]);
    const { guardExisting } = await import('./attached.ts');
    process.exitCode = await guardExisting(options);
  });
}
