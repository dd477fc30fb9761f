import type { PlacedCgroup } from '../guard/cgroup-watch.ts';
import { Matcher } from '../guard/matcher.ts';
import { isThere } from '../kernel/cgroup.ts';
import type { Matched } from '../policy/match.ts';
import type { Guarded } from './answers.ts';
import { guardedAt } from './guarded.ts';
import type { Log } from './log.ts';

/** A guard on a matched cgroup. */
export interface Guard {
  readonly id: string;
  readonly deployment: string | null;
  readonly mode: 'enforce' | 'audit';
}

export interface MatchedCgroupsOptions {
  /** Where the cgroup v2 tree is mounted. */
  readonly root: string;
  /** The place of this process. */
  readonly own: string;
  /** Guards a cgroup, by the policy in force. Rejects where it cannot. */
  readonly guard: (cgroup: PlacedCgroup, by: Matched) => Promise<Guard>;
  /** Takes a guard off: the cgroup is there, and the policy matches it no more. One whose cgroup is gone ends itself. */
  readonly release: (id: string) => Promise<void>;
  /** Runs and attached cgroups beside the matched ones, by place. */
  readonly others: () => ReadonlyMap<string, Pick<Guarded, 'run' | 'deployment' | 'mode'>>;
  readonly log: Log;
  /** Default: the product's; others are for tests, which cannot wait. */
  readonly retryMs?: number;
  readonly rescanMs?: number;
}

/** When one that could not be guarded is tried again: what was in the way may be gone. */
const RETRY_MS = 5000;

interface Held {
  readonly cgroup: PlacedCgroup;
  readonly by: Matched;
  guard: Guard | null;
  /** Why it could not be guarded. */
  why: string | null;
  /** It is gone, or matched no more. */
  over: boolean;
  timer: NodeJS.Timeout | null;
}

/** Guards what the policy matches, for as long as it is there and matched. */
export class MatchedCgroups {
  readonly #options: MatchedCgroupsOptions;
  readonly #held = new Map<bigint, Held>();
  readonly #working = new Set<Promise<void>>();
  readonly #matcher: Matcher;
  #patterns: readonly Matched[] = [];

  constructor(options: MatchedCgroupsOptions) {
    this.#options = options;
    const { root, own, rescanMs } = options;
    this.#matcher = new Matcher({
      ...{ root, own, patterns: [] },
      ...(rescanMs === undefined ? {} : { rescanMs }),
      onMatch: (cgroup, by) => this.#matched(cgroup, by),
      onGone: (cgroup, why) => this.#gone(cgroup, why),
    });
  }

  /** As another policy has it. What it matches in the same way keeps its guard. */
  replace(patterns: readonly Matched[]): void {
    this.#patterns = patterns;
    this.#matcher.replace(patterns);
  }

  /** What is not as it should be, for people. */
  get troubles(): string[] {
    const refused = this.#refused().map(
      ({ cgroup, by, why }) => `${cgroup.place} of ${by.deployment}: ${why}`,
    );
    return [...refused.slice(0, 8), ...this.#matcher.troubles];
  }

  /** What `GET /v1/guarded` answers. What has just been made is looked for first. */
  guarded(place: string): Guarded {
    const state = () => ({
      guards: new Map([...this.#options.others(), ...this.#guards()]),
      patterns: this.#patterns,
      refused: new Map([
        ...this.#matcher.refused,
        ...this.#refused().map(({ cgroup, why }) => [cgroup.place, why ?? ''] as const),
      ]),
    });
    const known = guardedAt(place, state());
    if (known.guarded || known.matched === null || known.why !== null || this.#isComing(place)) return known;
    this.#matcher.rescan();
    return guardedAt(place, state());
  }

  /** Stops to look for more. What is guarded stays so. Waits for what is under way. */
  async close(): Promise<void> {
    this.#matcher.close();
    for (const { timer } of this.#held.values()) if (timer) clearTimeout(timer);
    await Promise.all(this.#working);
  }

  #guards(): (readonly [string, Pick<Guarded, 'run' | 'deployment' | 'mode'>])[] {
    return [...this.#held.values()].flatMap(({ cgroup, guard }) =>
      guard && isThere(cgroup)
        ? [[cgroup.place, { run: guard.id, deployment: guard.deployment, mode: guard.mode }] as const]
        : [],
    );
  }

  #refused(): Held[] {
    return [...this.#held.values()].filter(({ why }) => why !== null);
  }

  #isComing(place: string): boolean {
    return [...this.#held.values()].some(({ cgroup }) => `${place}/`.startsWith(`${cgroup.place}/`));
  }

  #matched(cgroup: PlacedCgroup, by: Matched): void {
    const held: Held = { cgroup, by, guard: null, why: null, over: false, timer: null };
    this.#held.set(cgroup.id, held);
    this.#work(this.#guard(held));
  }

  #gone(cgroup: PlacedCgroup, why: 'removed' | 'unmatched'): void {
    const held = this.#held.get(cgroup.id);
    if (!held) return;
    held.over = true;
    this.#held.delete(cgroup.id);
    if (held.timer) clearTimeout(held.timer);
    if (held.guard && why === 'unmatched') this.#work(this.#release(held.guard.id, cgroup));
  }

  #work(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  async #guard(held: Held): Promise<void> {
    const { cgroup, by } = held;
    const { guard, log, retryMs = RETRY_MS } = this.#options;
    const about = { cgroup: cgroup.place, deployment: by.deployment, pattern: by.pattern.text };
    try {
      const made = await guard(cgroup, by);
      // Matched no more meanwhile; one whose cgroup is gone ends itself.
      if (held.over) return await this.#release(made.id, cgroup);
      held.guard = made;
      held.why = null;
      log.info({ ...about, run: made.id, mode: made.mode }, 'a matched cgroup is guarded');
    } catch (error) {
      const { message } = error as Error;
      // A unit that ended as it began; the kernel's word of that may be still to come.
      if (held.over || !isThere(cgroup)) {
        log.warn(about, 'a matched cgroup was gone before it was guarded: what it called is not known');
        return;
      }
      if (held.why !== message)
        log.error({ ...about, reason: message }, 'a matched cgroup cannot be guarded');
      held.why = message;
      held.timer = setTimeout(() => this.#work(this.#guard(held)), retryMs).unref();
    }
  }

  async #release(id: string, { place }: PlacedCgroup): Promise<void> {
    try {
      await this.#options.release(id);
    } catch (error) {
      this.#options.log.warn(
        { cgroup: place, run: id, reason: (error as Error).message },
        'a guard is gone already',
      );
    }
  }
}
