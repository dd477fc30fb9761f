import { placesAbove } from '../guard/matcher.ts';
import { type Matched, matchOf } from '../policy/match.ts';
import type { Guarded } from './answers.ts';

/** What the answer is made of, as it is now. */
export interface GuardedState {
  /** Runs, attached and matched cgroups, by their place in the cgroup tree. */
  readonly guards: ReadonlyMap<string, Pick<Guarded, 'run' | 'deployment' | 'mode'>>;
  /** Of the policy in force. */
  readonly patterns: readonly Matched[];
  /** Why a place that is matched could not be guarded, if that was tried. */
  readonly refused: ReadonlyMap<string, string>;
}

/** Whether a cgroup is guarded: it, or one that it is in; and whether it ought to be. The nearest says. */
export function guardedAt(place: string, { guards, patterns, refused }: GuardedState): Guarded {
  const places = [place, ...placesAbove(place)];
  const found = places.map((one) => guards.get(one)).find((guard) => guard !== undefined);
  const matched = places.map((one) => matchOf(patterns, one)).find((match) => match !== null) ?? null;
  const why = places.map((one) => refused.get(one)).find((reason) => reason !== undefined) ?? null;
  return {
    cgroup: place,
    guarded: found !== undefined,
    ...(found ?? { run: null, deployment: null, mode: null }),
    matched: matched?.deployment ?? null,
    required: matched?.required ?? true,
    why: found ? null : why,
  };
}
