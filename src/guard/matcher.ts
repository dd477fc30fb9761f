import { canHold, type Matched, matchOf } from '../policy/match.ts';
import { CgroupWatch, type PlacedCgroup } from './cgroup-watch.ts';

export interface MatcherOptions {
  readonly patterns: readonly Matched[];
  /** Where the cgroup v2 tree is mounted. */
  readonly root: string;
  /** The place of the cgroup this process is in: what holds it is never matched. */
  readonly own: string;
  /**
   * A cgroup is matched and is there. It is called as soon as the cgroup is known, before there are processes in it if
   * the kernel was quick to tell.
   */
  readonly onMatch: (cgroup: PlacedCgroup, by: Matched) => void;
  /** It is gone; or it is there, and no pattern holds it any more. */
  readonly onGone: (cgroup: PlacedCgroup, why: 'removed' | 'unmatched') => void;
  readonly rescanMs?: number;
}

/** Cgroups matched at once: each is a run, with tables and programs of its own. */
const MOST_MATCHED = 1000;

/** Finds the cgroups that policy's `match` is about, from when they are made, and again each time they are. */
export class Matcher {
  readonly #options: MatcherOptions;
  readonly #matched = new Map<string, { readonly cgroup: PlacedCgroup; readonly by: Matched }>();
  #patterns: readonly Matched[];
  #watch: CgroupWatch | null = null;
  readonly #refused = new Map<string, string>();

  constructor(options: MatcherOptions) {
    this.#options = options;
    this.#patterns = options.patterns;
    this.#begin();
  }

  /** What is matched now, those above before those below. */
  get matched(): { readonly cgroup: PlacedCgroup; readonly by: Matched }[] {
    return [...this.#matched.values()];
  }

  /** Places that are matched and cannot be guarded, and why. */
  get refused(): ReadonlyMap<string, string> {
    return this.#refused;
  }

  /** What it cannot do, for people. */
  get troubles(): string[] {
    const refused = [...this.#refused].map(([place, why]) => `${place} is not guarded: ${why}`);
    return [...refused.slice(0, 8), ...(this.#watch?.troubles ?? [])];
  }

  /** Puts another policy's patterns in place of these. What both match in the same way is not told again. */
  replace(patterns: readonly Matched[]): void {
    this.#patterns = patterns;
    // Those below first, as where they are removed.
    for (const { cgroup, by } of [...this.#matched.values()].reverse()) {
      const now = this.#wanted(cgroup);
      if (now?.deployment === by.deployment && now.required === by.required) continue;
      this.#matched.delete(cgroup.place);
      this.#options.onGone(cgroup, 'unmatched');
    }
    this.#watch?.close();
    this.#begin();
  }

  /** Looks at all of it now. */
  rescan(): void {
    this.#watch?.rescan();
  }

  close(): void {
    this.#watch?.close();
    this.#watch = null;
  }

  /** Nothing is watched where nothing can match. */
  #begin(): void {
    this.#refused.clear();
    this.#watch = null;
    if (this.#patterns.length === 0) return;
    const { root, rescanMs } = this.#options;
    const patterns = this.#patterns;
    // What is gone by now, while nothing was watched.
    const unseen = new Map(this.#matched);
    this.#watch = new CgroupWatch({
      root,
      ...(rescanMs === undefined ? {} : { rescanMs }),
      enters: (place) => patterns.some(({ pattern }) => canHold(pattern, place)),
      onMade: (cgroup) => {
        const before = this.#matched.get(cgroup.place);
        if (before?.cgroup.id === cgroup.id) unseen.delete(cgroup.place);
        else {
          if (before) this.#gone(before.cgroup);
          unseen.delete(cgroup.place);
          this.#made(cgroup);
        }
      },
      onGone: (cgroup) => this.#gone(cgroup),
    });
    for (const { cgroup } of [...unseen.values()].reverse()) this.#gone(cgroup);
  }

  #made(cgroup: PlacedCgroup): void {
    const by = this.#wanted(cgroup);
    if (!by) return;
    const why = this.#unfit(cgroup);
    if (why !== null) {
      this.#refused.set(cgroup.place, why);
      return;
    }
    this.#matched.set(cgroup.place, { cgroup, by });
    this.#options.onMatch(cgroup, by);
  }

  #gone(cgroup: PlacedCgroup): void {
    this.#refused.delete(cgroup.place);
    const known = this.#matched.get(cgroup.place);
    if (known?.cgroup.id !== cgroup.id) return;
    this.#matched.delete(cgroup.place);
    this.#options.onGone(cgroup, 'removed');
  }

  /** What is in a matched cgroup is in its run already, unless another deployment's pattern holds it. */
  #wanted({ place }: PlacedCgroup): Matched | null {
    const by = matchOf(this.#patterns, place);
    if (!by) return null;
    const above = placesAbove(place).map((outer) => matchOf(this.#patterns, outer));
    return above.find((outer) => outer !== null)?.deployment === by.deployment ? null : by;
  }

  #unfit({ place }: PlacedCgroup): string | null {
    if (`${this.#options.own}/`.startsWith(`${place}/`)) return 'Acyclic itself is in it';
    if (this.#matched.size >= MOST_MATCHED) return `${MOST_MATCHED} cgroups are matched already`;
    return null;
  }
}

/** The places a cgroup is in, the nearest first; the root is none. */
export function placesAbove(place: string): string[] {
  const parts = place.split('/').slice(1, -1);
  return parts.map((_, i) => `/${parts.slice(0, parts.length - i).join('/')}`);
}
