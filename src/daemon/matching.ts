import type { PlacedCgroup } from '../guard/cgroup-watch.ts';
import { Matcher } from '../guard/matcher.ts';
import type { LoadedPolicy } from '../guard/policy-files.ts';
import { ownCgroup } from '../kernel/cgroup.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import { type Matched, patternsIn } from '../policy/match.ts';
import type { Attachments } from './attachments.ts';
import type { Log } from './log.ts';

/** Guards what the policy's `match` is about: a cgroup from when it is made to when it is gone, with nobody asking. */
export class Matching {
  readonly #attachments: Attachments;
  readonly #log: Log;
  readonly #matcher: Matcher;
  #loaded: LoadedPolicy | null = null;
  /** Places that are matched and could not be guarded, and why. */
  readonly #failed = new Map<string, string>();

  constructor(attachments: Attachments, log: Log) {
    this.#attachments = attachments;
    this.#log = log;
    const root = findCgroup2();
    this.#matcher = new Matcher({
      ...{ root, patterns: [], own: ownCgroup().path.slice(root.length) },
      onMatch: (cgroup, by) => void this.#guard(cgroup, by),
      onGone: (cgroup) => void this.#release(cgroup),
    });
  }

  /** Of the policy in force. */
  get patterns(): readonly Matched[] {
    return patternsIn(this.#loaded?.policy ?? null);
  }

  get failed(): ReadonlyMap<string, string> {
    return this.#failed;
  }

  /** What is not as it should be, for people. */
  get troubles(): string[] {
    const failed = [...this.#failed].map(([place, why]) => `${place} is not guarded: ${why}`);
    return [...failed.slice(0, 8), ...this.#matcher.troubles];
  }

  /** Another policy is in force. */
  replace(loaded: LoadedPolicy | null): void {
    this.#loaded = loaded;
    this.#matcher.replace(this.patterns);
  }

  close(): void {
    this.#matcher.close();
  }

  async #guard(cgroup: PlacedCgroup, { deployment }: Matched): Promise<void> {
    const { place } = cgroup;
    try {
      const asked = { cgroup, target: `match:${place}`, deployment, mode: null, owner: null };
      const { id } = await this.#attachments.attach(asked, this.#loaded);
      this.#failed.delete(place);
      this.#log.info({ run: id, cgroup: place, deployment }, 'a matched cgroup is guarded');
    } catch (error) {
      if (this.#attachments.holds(cgroup.id)) return;
      const { message } = error as Error;
      this.#failed.set(place, message);
      this.#log.error({ cgroup: place, deployment, error: message }, 'a matched cgroup cannot be guarded');
    }
  }

  async #release({ id, place }: PlacedCgroup): Promise<void> {
    this.#failed.delete(place);
    await this.#attachments.release(id);
  }
}
