import tab from '@bomb.sh/tab/commander';
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { attachCommand } from './attach.ts';
import { auditCommand } from './audit.ts';
import { daemonCommand } from './daemon.ts';
import { demoCommand } from './demo.ts';
import { detachCommand } from './detach.ts';
import { doctorCommand } from './doctor.ts';
import { graphCommand } from './graph.ts';
import { lintCommand } from './lint.ts';
import { notBuilt } from './not-built.ts';
import { policyCommand } from './policy.ts';
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

/** Named in the design and still to come: refused by name, and not in `--help`. */
const NOT_BUILT = ['allow', 'deny'] as const;

const EXAMPLES = `
Examples:
  sudo acyclic demo                              see it work, in a sandbox
  sudo acyclic run -- ./deploy.sh                watch what a script calls; deny nothing
  sudo acyclic run -p acyclic.yaml ./deploy.sh   guard it
  acyclic lint -p acyclic.yaml ./deploy.sh       what it names, before it runs
  acyclic policy check -p acyclic.yaml           find the mistakes in a policy
  acyclic graph -p acyclic.yaml                  what needs what, and where it goes in a circle
  sudo acyclic attach --service migrations --unit migrations   watch what a service calls
  sudo acyclic audit list --verdict deny         what was denied, in any run
  sudo acyclic status                            what is guarded now, and what is wrong
  sudo acyclic doctor                            what this host can do`;

const COMPLETION_EXAMPLE = `
Example:
  acyclic completion bash | sudo tee /etc/bash_completion.d/acyclic`;

/** The whole command line. An action sets process.exitCode, or throws; commander's own errors are thrown too. */
export function createProgram(commands: readonly (() => Command)[] = COMMANDS): Command {
  const program = new Command('acyclic')
    .description('Keeps deployments free of circular dependencies.')
    .version(`acyclic ${manifest.version}`)
    .enablePositionalOptions()
    .addHelpText('after', EXAMPLES);
  for (const create of commands) program.addCommand(create());
  for (const name of NOT_BUILT) program.addCommand(notBuilt(name), { hidden: true });
  tab(program, { completionCommandName: 'completion' });
  named(program, 'completion')
    .description('print the completion script of a shell: bash, zsh or fish')
    .addHelpText('after', COMPLETION_EXAMPLE);
  for (const command of allOf(program)) {
    // Errors are told by main.ts, in our manner; help and version still go to standard output.
    command.exitOverride().configureOutput({ writeErr: () => {} });
  }
  return program;
}

/** A command, and all below it. */
export function allOf(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allOf)];
}

function named(program: Command, name: string): Command {
  const found = program.commands.find((command) => command.name() === name);
  if (!found) throw new Error(`no command ${name}`);
  return found;
}
