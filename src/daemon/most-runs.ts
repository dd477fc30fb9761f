import { Refusal } from './refusal.ts';

/** Runs at once, those that are being set up with them: of all, and of one user who is not root. */
const MOST_RUNS = 1000;
const MOST_OF_USER = 400;
/** Of all, those that are kept for root: three users could have the rest. */
const KEPT_FOR_ROOT = 100;

/** Throws Refusal `conflict` where a user may not have another run. `owners`: of each run there is. */
export function refuseMore(uid: number, owners: readonly (number | null)[]): void {
  const own = owners.filter((owner) => owner === uid).length;
  const most = uid === 0 ? MOST_RUNS : MOST_RUNS - KEPT_FOR_ROOT;
  if (owners.length < most && (uid === 0 || own < MOST_OF_USER)) return;
  throw new Refusal('conflict', 'too many runs are in progress, and no more are taken', 'see acyclic status');
}
