import { Command } from 'commander';
import { preloadPrograms } from '../guard/preload.ts';
import { addRunOptions, readRunOptions } from './run-options.ts';

/** `acyclic run`: guards one command. */
export function runCommand(): Command {
  const command = addRunOptions(new Command('run').description('guard one command'));
  return command.action(async () => {
    const options = readRunOptions(command);
    const programs = preloadPrograms(options);
    const { guardCommand } = await import('./guarded.ts');
    process.exitCode = await guardCommand(options, programs);
  });
}
