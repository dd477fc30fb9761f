import type { AuditEvent } from '../model/event.ts';
import { type Difference, isBreaking, type Replay } from '../policy/replay.ts';
import { formatOutcome } from '../policy/rule-text.ts';
import { processLabel, shellQuote } from './message.ts';
import { plural } from './policy-options.ts';

const MOST_SHOWN = 20;

/** The differences as text: those that break first, each with its count and an example. */
export function formatReplay(replay: Replay, policy: { path: string; id: string }): string[] {
  const { runs, calls, same, differences, unenforced, unknown } = replay;
  const breaking = differences.filter(isBreaking);
  const others = differences.filter((difference) => !isBreaking(difference));
  return [
    `policy ${policy.path} (${policy.id}) on ${plural(calls, 'call')} of ${plural(runs, 'run')}: ${same} decided alike`,
    ...[...unknown].map(
      ([name, count]) => `deployment ${name || '(none)'} is not in it: ${plural(count, 'call')} not judged`,
    ),
    ...section('would be denied', breaking),
    ...section('would be decided otherwise', others),
    ...(unenforced > 0
      ? [
          `${plural(unenforced, 'call')} went through only because nothing was enforced then: this policy denies them as well`,
        ]
      : []),
  ];
}

function section(title: string, differences: readonly Difference[]): string[] {
  if (differences.length === 0) return [];
  const calls = differences.reduce((sum, { count }) => sum + count, 0);
  const left = differences.length - MOST_SHOWN;
  return [
    `${title}: ${plural(calls, 'call')}`,
    ...differences.slice(0, MOST_SHOWN).flatMap(formatDifference),
    ...(left > 0 ? [`  and ${left} more destinations`] : []),
  ];
}

function formatDifference({ destination, count, before, after, example, deployment }: Difference): string[] {
  const kind = example.rule?.kind;
  const was = kind === undefined || kind === before ? before : `${before} by ${kind}`;
  const path = after.cycle ? `   ${after.cycle.join(' → ')}` : '';
  return [
    `  ${destination} ×${count}${deployment === null ? '' : `   ${deployment}`}`,
    `    was  ${was}${placeOf(example)}`,
    `    is   ${formatOutcome(after.answer, after.rule)}${path}`,
    `    e.g. ${formatExample(example)}`,
  ];
}

function placeOf({ rule }: AuditEvent): string {
  return rule?.source ? ` (${rule.source})` : '';
}

/** `curl[42], run 01J…, 2026-11-23T03:20:33Z: curl -fsSL https://…`. */
export function formatExample({ process, run, time }: AuditEvent): string {
  const argv = process?.argv ? `: ${process.argv.map(shellQuote).join(' ')}` : '';
  const said = argv.length > 120 ? `${argv.slice(0, 117)}…` : argv;
  return `${processLabel(process)}, run ${run}, ${time.replace(/\.\d+Z$/, 'Z')}${said}`;
}

export function replayAsJson({ unknown, differences, ...counts }: Replay): object {
  return {
    ...counts,
    unknown: Object.fromEntries(unknown),
    differences: differences.map((difference) => {
      const { destination, deployment, before, after, count, example } = difference;
      return { destination, deployment, count, breaking: isBreaking(difference), before, after, example };
    }),
  };
}
