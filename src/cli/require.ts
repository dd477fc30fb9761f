import { Command } from 'commander';
import type { RequireOptions } from './required.ts';

const DEFAULT_WAIT = '10s';

const EXAMPLES = `
It asks the daemon whether the cgroup it is started in is guarded, and waits for that a while. In a unit that the
policy matches it closes the moment between the unit's start and its guard:
  [Service]
  ExecCondition=+/usr/bin/acyclic require
The + has it run as root; without, the unit's user must be in the group acyclic.
Exit status: 0 it is guarded, or policy lets it go without (required: false), which is said; 255 it is not, or nobody
can tell: then ExecCondition= and ExecStartPre= fail the unit.

Examples:
  acyclic require                                      the cgroup it is started in
  acyclic require --wait 30s --or-go                   go without where there is no daemon
  sudo acyclic require deploy-mysql@1.service          a unit that runs
  sudo acyclic require /system.slice/mysql.service     a cgroup, from the root of the tree`;

/** `acyclic require`: keeps a unit that must be guarded from starting where it is not. */
export function requireCommand(): Command {
  return new Command('require')
    .description('keep a unit from starting where it is not guarded')
    .argument('[unit-or-cgroup]', 'default: the cgroup it is started in')
    .option('--wait <time>', 'wait for the guard at most this long: 30s, 1m, or seconds', DEFAULT_WAIT)
    .option('--or-go', 'where no daemon answers let it go, and say so')
    .option('--socket <path>', "the daemon's socket: $ACYCLIC_SOCKET, or /run/acyclic/acyclic.sock")
    .addHelpText('after', EXAMPLES)
    .action(async (named: string | undefined, options: RequireOptions) => {
      const { requireGuard } = await import('./required.ts');
      await requireGuard(named ?? null, options);
    });
}
