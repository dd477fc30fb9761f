import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };

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

/** A command line of these commands. An action sets process.exitCode, or throws; commander's own errors are thrown too. */
export function createProgram(commands: readonly (() => Command)[]): Command {
  const program = new Command('acyclic')
    .description('Keeps deployments free of circular dependencies.')
    .version(`acyclic ${manifest.version}`)
    .enablePositionalOptions()
    .addHelpText('after', EXAMPLES);
  for (const create of commands) program.addCommand(create());
  return withoutExit(program);
}

/** Errors are told by command-line.ts, in our manner; help and version still go to standard output. */
export function withoutExit(command: Command): Command {
  for (const each of allOf(command)) each.exitOverride().configureOutput({ writeErr: () => {} });
  return command;
}

/** A command, and all below it. */
export function allOf(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allOf)];
}
