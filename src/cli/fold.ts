import { formatTarget } from '../model/target.ts';
import { type DenialView, formatRepeats } from './message.ts';

/** Repeats of a denial are told at most this often. */
const TELL_EVERY_MS = 5000;
/** Distinct denials told apart; a script that scans ports must not flood the terminal, nor fill memory. */
const MOST_DENIALS = 512;

/** Makes a retry loop one message and a count. Times are milliseconds of any steady clock. */
export interface Fold {
  /** Takes a denial in. True: tell it now, it is the first of its kind. False: it was counted. */
  first(view: DenialView, now: number): boolean;
  /** Lines for repeats that were not told and are due. */
  due(now: number): string[];
  /** How often each kind was denied in all, most often first; for the end summary. */
  totals(): FoldTotal[];
}

export interface FoldTotal {
  /** Null for the denials beyond those told apart. */
  readonly view: DenialView | null;
  readonly count: number;
}

interface Folded {
  view: DenialView;
  count: number;
  untold: number;
  toldAt: number;
}

export function createFold(): Fold {
  const kinds = new Map<string, Folded>();
  const others = { count: 0, untold: 0, toldAt: 0 };
  return {
    first(view, now) {
      const key = keyOf(view);
      const known = kinds.get(key);
      if (known === undefined && kinds.size < MOST_DENIALS) {
        kinds.set(key, { view, count: 1, untold: 0, toldAt: now });
        return true;
      }
      const counted = known ?? others;
      counted.count += 1;
      counted.untold += 1;
      if (known !== undefined) known.view = view;
      return false;
    },
    due(now) {
      const lines: string[] = [];
      for (const folded of kinds.values()) {
        if (!isDue(folded, now)) continue;
        lines.push(formatRepeats({ ...folded.view, repeats: folded.untold }));
        tell(folded, now);
      }
      if (isDue(others, now)) {
        lines.push(`acyclic: denied ${others.untold} more calls to other destinations`);
        tell(others, now);
      }
      return lines;
    },
    totals() {
      const totals: FoldTotal[] = [...kinds.values()].map(({ view, count }) => ({ view, count }));
      totals.sort((a, b) => b.count - a.count);
      return others.count === 0 ? totals : [...totals, { view: null, count: others.count }];
    },
  };
}

function isDue(counted: { untold: number; toldAt: number }, now: number): boolean {
  return counted.untold > 0 && now - counted.toldAt >= TELL_EVERY_MS;
}

function tell(counted: { untold: number; toldAt: number }, now: number): void {
  counted.untold = 0;
  counted.toldAt = now;
}

/** Same program, same destination, same rule: the same denial. */
function keyOf({ event, rule }: DenialView): string {
  const program = event.process?.exe ?? event.process?.comm ?? null;
  return JSON.stringify([
    program,
    formatTarget(event),
    event.verdict,
    rule.kind,
    rule.source,
    rule.id,
    rule.service,
  ]);
}
