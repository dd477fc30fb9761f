import { placesAbove } from '../guard/matcher.ts';
import type { Guarded } from './answers.ts';
import { Refusal } from './refusal.ts';

/** What is guarded, by its place in the cgroup tree. */
export type Guards = ReadonlyMap<string, Pick<Guarded, 'run'>>;

/**
 * Throws Refusal `nested` where a place is in what is guarded, or holds some of it: programs of one engine on both would
 * tell, and count, each call of the inner one twice.
 */
export function refuseNested(place: string, guards: Guards): void {
  refuseInner(place, guards);
  const below = [...guards].find(([one]) => one.startsWith(`${place}/`));
  if (below)
    throw new Refusal(
      'nested',
      `${place} holds run ${below[1].run}, which is guarded by itself`,
      'wait for its end',
    );
}

/** Throws Refusal `nested` where a run started from a place would be in one that is guarded; others beside it may be. */
export function refuseInner(place: string, guards: Guards): void {
  const over = [place, ...placesAbove(place)]
    .map((one) => guards.get(one))
    .find((guard) => guard !== undefined);
  if (over)
    throw new Refusal(
      'nested',
      `${place} is guarded already, as run ${over.run}`,
      'start the command by itself: it is guarded as that run is',
    );
}
