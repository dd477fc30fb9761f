import type { AuditEvent } from '../model/event.ts';
import type { DeniedWait } from '../model/summary.ts';

/** Destinations told apart; past that only the counts go on. */
const MOST_DESTINATIONS = 100_000;

interface Denied {
  attempts: number;
  waitMs: number;
  first: number;
  last: number;
}

/** What a run's events come to, counted as they pass. */
export class Tally {
  calls = 0;
  denials = 0;
  wouldDeny = 0;
  readonly #destinations = new Map<string, number>();
  readonly #cycles = new Map<string, readonly string[]>();
  readonly #denied = new Map<string, Denied>();

  /** `target` is the destination as messages have it. */
  add(event: AuditEvent, target: string): void {
    if (event.verdict === null) return;
    this.calls += event.count;
    const before = this.#destinations.get(target);
    if (before !== undefined || this.#destinations.size < MOST_DESTINATIONS)
      this.#destinations.set(target, (before ?? 0) + event.count);
    if (event.verdict === 'allow') return;
    if (event.dependency && event.rule?.kind === 'circular')
      this.#cycles.set(event.dependency.path.join(' '), event.dependency.path);
    if (event.verdict === 'would-deny') {
      this.wouldDeny += event.count;
      return;
    }
    this.denials += event.count;
    const at = Date.parse(event.time);
    const denied = this.#denied.get(target) ?? { attempts: 0, waitMs: 0, first: at, last: at };
    denied.attempts += event.count;
    denied.waitMs += (event.outcome?.duration_us ?? 0) / 1000;
    denied.last = at;
    if (this.#denied.size < MOST_DESTINATIONS) this.#denied.set(target, denied);
  }

  get destinations(): number {
    return this.#destinations.size;
  }

  /** Destinations and how often each was called, most often first. */
  get byDestination(): (readonly [target: string, calls: number])[] {
    return [...this.#destinations].sort(([, a], [, b]) => b - a);
  }

  /** Each cycle a call would have closed, once. */
  get cycles(): readonly (readonly string[])[] {
    return [...this.#cycles.values()];
  }

  get waiting(): DeniedWait[] {
    return [...this.#denied].map(([destination, { attempts, waitMs, first, last }]) => ({
      destination,
      attempts,
      wait_ms: Math.round(waitMs),
      retry_ms: last - first,
    }));
  }
}
