import { performCommandLine } from './command-line.ts';
import { createProgram } from './program.ts';
import { runCommand } from './run.ts';

async function main(): Promise<void> {
  await performCommandLine(createProgram([runCommand]), process.argv.slice(2));
  // All is told and on record. To take everything down in order takes Node milliseconds, in which nothing happens.
  process.exit();
}

void main();
