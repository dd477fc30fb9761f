import { Command } from 'commander';
import { addRunOptions, readRunOptions } from './run-options.ts';

/** `acyclic run`: guards one command. */
export function runCommand(): Command {
  const command = addRunOptions(new Command('run').description('guard one command'));
  return command.action(async () => {
    const options = readRunOptions(command);
    const { guardCommand } = await import('./guarded.ts');
    process.exitCode = await guardCommand(options);
  });
}
