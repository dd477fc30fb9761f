import { resolve } from 'node:path';
import type { CreateRunBody } from '../daemon/contract.ts';
import type { CommandSpec } from '../guard/command.ts';
import { givenCommand } from './command-spec.ts';
import type { RunOptions } from './run-options.ts';

/** What the daemon takes of a command line; the rest is not for it, since it runs nothing of it. */
const MOST_ARGUMENTS = 16_384;
const MOST_TEXT = 512 << 10;
const LONGEST_ARGUMENT = 64 << 10;
const LONGEST_PATH_VARIABLE = 32 << 10;
const LONGEST_PATH = 4096;

/** What is asked of the daemon: `file` is the program the command was found to be. */
export function runRequest(options: RunOptions, spec: CommandSpec, file: string): CreateRunBody {
  const { deployment, mode, requireEnforce, allow, deny, labels, failOn, leftover, limits } = options;
  const { syscalls, breakGlass, allowInherited } = options;
  const { cwd, path, home } = givenCommand(spec, file);
  return {
    deployment,
    file: resolve(cwd, file),
    command: shortened(spec.argv.map(String)),
    cwd,
    path: path.slice(0, LONGEST_PATH_VARIABLE),
    home: home === null || home.length > LONGEST_PATH ? null : home,
    ...{ labels, requireEnforce, allow: [...allow], deny: [...deny], default: options.default },
    mode: breakGlass === null ? mode : 'audit',
    ...{ failOn, leftover, limits, syscalls, breakGlass, allowInherited },
  };
}

/** As much of a command line as the daemon takes. */
function shortened(argv: readonly string[]): string[] {
  const kept: string[] = [];
  let length = 0;
  for (const argument of argv.slice(0, MOST_ARGUMENTS)) {
    const part = argument.slice(0, LONGEST_ARGUMENT);
    length += Buffer.byteLength(part);
    if (length > MOST_TEXT && kept.length > 0) break;
    kept.push(part);
  }
  return kept;
}
