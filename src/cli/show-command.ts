import { shellQuote } from './message.ts';
import type { RunOptions } from './run-options.ts';

/** The command that shows one event again. */
export function showCommand(options: Pick<RunOptions, 'state'>, id: string): string {
  const where = options.state === null ? '' : `--state ${shellQuote(options.state)} `;
  return `acyclic audit show ${where}${id}`;
}

/** The command that prints a policy that allows what a run called. */
export function suggestCommand({ report, state }: Pick<RunOptions, 'report' | 'state'>, run: string): string {
  if (report !== null) return `acyclic policy suggest --report ${shellQuote(report)}`;
  const where = state === null ? '' : ` --state ${shellQuote(state)}`;
  return `acyclic policy suggest --run ${run}${where}`;
}
