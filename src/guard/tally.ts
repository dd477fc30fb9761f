import type { AuditEvent } from '../model/event.ts';
import type { DeniedWait, StagedTotals } from '../model/summary.ts';
import type { Verdict } from '../model/verdict.ts';
import { answerOf, isProbe } from '../policy/question.ts';
import type { SeenDestinations } from '../policy/seen.ts';

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
  readonly #staged: { policy: string; differs: number; denied: number; allowed: number } | null;
  readonly #seen: SeenDestinations | null;
  /** With each, whether all of it may have been looks at the route alone. */
  readonly #new = new Map<string, boolean>();

  /** `seen`: what earlier runs called, where new destinations are asked for. */
  constructor({ staged, seen }: { staged: string | null; seen: SeenDestinations | null }) {
    this.#staged = staged === null ? null : { policy: staged, differs: 0, denied: 0, allowed: 0 };
    this.#seen = seen;
  }

  /** `target` is the destination as messages have it. */
  add(event: AuditEvent, target: string): void {
    if (event.verdict === null) return;
    this.calls += event.count;
    const before = this.#destinations.get(target);
    if (before !== undefined || this.#destinations.size < MOST_DESTINATIONS)
      this.#destinations.set(target, (before ?? 0) + event.count);
    this.#compare(event, event.verdict);
    if (this.#seen && this.#new.size < MOST_DESTINATIONS && !this.#seen.has(event))
      this.#new.set(target, (this.#new.get(target) ?? true) && isProbe(event));
    if (event.verdict === 'allow') return;
    if (event.dependency) this.#cycles.set(event.dependency.path.join(' '), event.dependency.path);
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

  /** What the staged policy would have decided otherwise; null without one. */
  get staged(): StagedTotals | null {
    return this.#staged && { ...this.#staged };
  }

  /** Destinations no earlier run called; null where that was not asked for. */
  get newDestinations(): string[] | null {
    const called = (target: string, probe: boolean) =>
      !probe || !this.#new.has(target.replace(/udp$/, 'tcp'));
    return this.#seen && [...this.#new].flatMap(([target, probe]) => (called(target, probe) ? [target] : []));
  }

  #compare({ staged, rule, count }: AuditEvent, verdict: Verdict): void {
    if (!this.#staged || !staged) return;
    const live = answerOf(verdict, rule?.kind ?? null);
    const tried = answerOf(staged.verdict, staged.rule.kind);
    if (live === tried) return;
    this.#staged.differs += count;
    if (tried === 'deny') this.#staged.denied += count;
    if (live === 'deny') this.#staged.allowed += count;
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
