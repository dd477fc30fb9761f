import type { RunRecord } from '../audit/runs.ts';
import { shellQuote } from './message.ts';

const LABEL = 10;

/** One line of a description: a label, and what it says. */
export function detail(label: string, text: string): string {
  return `  ${label.padEnd(LABEL)} ${text}`;
}

/** `2026-11-23 03:20:33.123 UTC`. */
export function humanTime(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 23)} UTC`;
}

/** What became of a run, in a word or two. */
export function formatState({ state, summary }: RunRecord): string {
  if (state === 'running') return 'running';
  if (state === 'lost' || summary === null) return 'lost';
  return `exit ${summary.exit.acyclic}`;
}

/** A run, as a part of a description. */
export function formatRun(run: RunRecord): string[] {
  const { deployment, mode, policy, command, labels } = run;
  const lines = [
    detail('run', run.run),
    detail('deployment', deployment ?? 'none named'),
    detail('mode', `${mode ?? 'unknown'}, ${policy === null ? 'no policy' : `policy ${policy}`}`),
    detail('state', `${formatState(run)}, begun ${humanTime(run.started)}`),
  ];
  if (command !== null) lines.push(detail('started as', command.map(shellQuote).join(' ')));
  const labelled = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  if (labelled.length > 0) lines.push(detail('labels', labelled.join(' ')));
  return lines;
}
