import tab from '@bomb.sh/tab/commander';
import type { Command } from 'commander';
import { attachCommand } from './attach.ts';
import { auditCommand } from './audit.ts';
import { daemonCommand } from './daemon.ts';
import { demoCommand } from './demo.ts';
import { detachCommand } from './detach.ts';
import { doctorCommand } from './doctor.ts';
import { graphCommand } from './graph.ts';
import { lintCommand } from './lint.ts';
import { allowCommand, denyCommand } from './live.ts';
import { policyCommand } from './policy.ts';
import { createProgram, withoutExit } from './program.ts';
import { requireCommand } from './require.ts';
import { runCommand } from './run.ts';
import { runsCommand } from './runs.ts';
import { statusCommand } from './status.ts';

/** Every command there is. Each is one file, and imports what is heavy only when it acts. */
const COMMANDS = [
  runCommand,
  runsCommand,
  statusCommand,
  policyCommand,
  allowCommand,
  denyCommand,
  graphCommand,
  lintCommand,
  attachCommand,
  daemonCommand,
  detachCommand,
  requireCommand,
  auditCommand,
  doctorCommand,
  demoCommand,
];

const COMPLETION_EXAMPLE = `
Example:
  acyclic completion bash | sudo tee /etc/bash_completion.d/acyclic`;

/** The whole command line. */
export function wholeProgram(): Command {
  const program = createProgram(COMMANDS);
  tab(program, { completionCommandName: 'completion' });
  named(program, 'completion')
    .description('print the completion script of a shell: bash, zsh or fish')
    .addHelpText('after', COMPLETION_EXAMPLE);
  return withoutExit(program);
}

function named(program: Command, name: string): Command {
  const found = program.commands.find((command) => command.name() === name);
  if (!found) throw new Error(`no command ${name}`);
  return found;
}
