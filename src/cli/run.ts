import { Command } from 'commander';
import { daemonForRun } from './daemon-choice.ts';
import { createOutput } from './output.ts';
import { addRunOptions, type RunOptions, readRunOptions } from './run-options.ts';

/** `acyclic run`: guards one command. */
export function runCommand(): Command {
  const command = addRunOptions(new Command('run').description('guard one command'));
  return command.action(async () => {
    const options = readRunOptions(command);
    const daemon = daemonForRun(options, createOutput(options));
    process.exitCode = daemon === null ? await runAlone(options) : await runThrough(options, daemon);
  });
}

async function runAlone(options: RunOptions): Promise<number> {
  const { preloadPrograms } = await import('../guard/preload.ts');
  const programs = preloadPrograms(options);
  const { guardCommand } = await import('./guarded.ts');
  return await guardCommand(options, programs);
}

async function runThrough(options: RunOptions, daemon: string): Promise<number> {
  const { runThroughDaemon } = await import('./daemon-run.ts');
  return await runThroughDaemon(options, daemon);
}
