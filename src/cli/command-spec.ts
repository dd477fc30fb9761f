import { readFileSync } from 'node:fs';
import { type CommandSpec, variableOf } from '../guard/command.ts';
import { inheritedSocket, inheritedSockets } from '../guard/inherited.ts';
import type { GivenCommand } from '../guard/naming.ts';
import type { Mode } from '../model/verdict.ts';
import { commandEnvironment, exactArguments, launchState } from './launch.ts';
import type { Output } from './output.ts';
import type { RunOptions } from './run-options.ts';

/** The command as it is to be started. */
export function commandSpec({ command }: RunOptions): CommandSpec {
  return {
    name: command[0],
    argv: exactArguments(command, readFileSync('/proc/self/cmdline')),
    env: commandEnvironment(process.env),
    ...launchState(process.env),
  };
}

/** The command as far as it can be read: `file` is the program it was found to be. */
export function givenCommand({ argv, env }: CommandSpec, file: string): GivenCommand {
  return {
    argv: [file, ...argv.slice(1).map(String)],
    cwd: process.cwd(),
    path: variableOf(env, 'PATH') ?? '',
    home: variableOf(env, 'HOME') ?? null,
  };
}

/** Sockets the command is given were made outside the run, where no hook decides about them. */
export function checkInherited(options: RunOptions, mode: Mode, spec: CommandSpec, output: Output): void {
  const sockets = inheritedSockets(spec.fds);
  const outbound = sockets.filter((socket) => socket.outbound);
  const listed = sockets.map(({ description }) => description);
  if (mode === 'enforce' && outbound.length > 0 && !options.allowInherited) throw inheritedSocket(outbound);
  if (listed.length > 0) output.say('info', ['acyclic: the command inherits sockets', ...listed]);
}
