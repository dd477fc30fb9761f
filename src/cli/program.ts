import tab from '@bomb.sh/tab/commander';
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { lintCommand } from './lint.ts';
import { Failure } from './output.ts';
import { runCommand } from './run.ts';

/** Every command there is. Each is one file, and imports what is heavy only when it acts. */
const COMMANDS = [runCommand, lintCommand, doctorCommand, demoCommand];

/** Named in the design and still to come: refused by name, and not in `--help`. */
const NOT_BUILT = [
  'daemon',
  'status',
  'runs',
  'policy',
  'allow',
  'deny',
  'audit',
  'graph',
  'attach',
  'detach',
] as const;

const EXAMPLES = `
Examples:
  sudo acyclic demo                              see it work, in a sandbox
  sudo acyclic run -- ./deploy.sh                watch what a script calls; deny nothing
  sudo acyclic run -p acyclic.yaml ./deploy.sh   guard it
  acyclic lint -p acyclic.yaml ./deploy.sh       what it names, before it runs
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
  for (const command of [program, ...program.commands]) {
    // Errors are told by main.ts, in our manner; help and version still go to standard output.
    command.exitOverride().configureOutput({ writeErr: () => {} });
  }
  return program;
}

function named(program: Command, name: string): Command {
  const found = program.commands.find((command) => command.name() === name);
  if (!found) throw new Error(`no command ${name}`);
  return found;
}

function notBuilt(name: string): Command {
  return new Command(name)
    .helpOption(false)
    .allowUnknownOption()
    .argument('[anything...]')
    .action(() => {
      throw new Failure('not-built', `'${name}' is not built yet`, null, 2);
    });
}
