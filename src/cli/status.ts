import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { stateDirectory } from '../audit/state-directory.ts';
import { addPlaceOptions, type PlaceOptions } from './audit-options.ts';
import { createPrinter } from './print.ts';

const NOT_RUNNING = 3;

const EXAMPLES = `
Exit status: 0 the daemon runs and all is well, 1 it runs and something is wrong, 3 it does not run; 2 the question
could not be answered. There is no daemon yet, so it is 3: each run is guarded by the command that starts it. What is
wrong is told all the same, and is \`degraded\` in JSON.

Examples:
  sudo acyclic status
  sudo acyclic status --json | jq -r '.degraded[].message'
  sudo acyclic status --json | jq '.runs[] | {run, deployment, counts}'`;

/** `acyclic status`: what is guarded now, by which policy, and what is wrong. */
export function statusCommand(): Command {
  const command = new Command('status').description('what is guarded now, and what is wrong');
  return addPlaceOptions(command, 'one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async ({ state, json }: PlaceOptions) => {
      const [{ readStatus }, { formatStatus }] = await Promise.all([
        import('../guard/status.ts'),
        import('./status-text.ts'),
      ]);
      const now = new Date();
      const status = await readStatus(stateDirectory(state ?? null), now);
      const { version } = manifest;
      const printer = createPrinter();
      printer.print(
        json
          ? [JSON.stringify({ v: 1, version, state: 'not-running', ...status })]
          : formatStatus(version, status, now, printer),
      );
      process.exitCode = NOT_RUNNING;
    });
}
