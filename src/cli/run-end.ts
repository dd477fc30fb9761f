import type { AuditTrail } from '../audit/trail.ts';
import type { ReportFile } from '../guard/report.ts';
import type { Finished } from '../guard/run-guard.ts';
import type { RunSummary } from '../model/summary.ts';
import type { Output } from './output.ts';
import type { RunOptions } from './run-options.ts';
import { suggestCommand } from './show-command.ts';
import { formatSummary } from './summary.ts';
import type { Teller } from './teller.ts';

/** Tells and records the end, and what went wrong at it. Closes the report. */
export function tellEnd(
  to: { output: Output; report: ReportFile | null; trail: AuditTrail | null; teller: Teller },
  options: RunOptions,
  summary: RunSummary,
  { failures }: Pick<Finished, 'failures'>,
): void {
  const { output, report, trail, teller } = to;
  trail?.record(summary);
  const lines = formatSummary(summary, {
    denied: teller.fold.totals(),
    wouldDeny: teller.wouldDeny.totals(),
    seen: teller.tally.byDestination,
    leftover: options.leftover,
    report: options.report,
    suggest: suggestCommand(options, summary.run),
    width: output.width,
  });
  output.say('info', lines, summary);
  report?.write(summary);
  report?.close();
  if (report && report.lost > 0)
    output.say('error', [
      `acyclic: ${report.lost} lines of the report ${report.path} were lost: ${report.fault}`,
    ]);
  if (summary.limits?.in_force === false)
    output.say('error', ['acyclic: a limit was changed or taken off while the run went on']);
  for (const failure of failures) output.say('error', [`acyclic: left behind: ${failure}`]);
}
