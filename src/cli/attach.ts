import { Command } from 'commander';
import { addAttachOptions, readAttachOptions } from './attach-options.ts';

const EXAMPLES = `
It stays in the foreground until SIGINT or SIGTERM, until the cgroup is gone, or as long as --for says; then the guard
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
    const { guardExisting } = await import('./attached.ts');
    process.exitCode = await guardExisting(options);
  });
}
