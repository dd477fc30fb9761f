import { type AuditEvent, isFailure } from '../model/event.ts';
import type { DestinationTraffic, DestinationWait, StagedTotals } from '../model/summary.ts';
import type { Verdict } from '../model/verdict.ts';
import { answerOf, isProbe } from '../policy/question.ts';
import type { SeenDestinations } from '../policy/seen.ts';

/** Destinations told apart; past that only the counts go on. */
const MOST_DESTINATIONS = 100_000;

interface Wait {
  readonly outcome: DestinationWait['outcome'];
  attempts: number;
  waitMs: number;
  first: number;
  last: number;
}

/** A tally as JSON can hold it; of what earlier runs called it has nothing. */
export interface TallySnapshot {
  readonly calls: number;
  readonly denials: number;
  readonly wouldDeny: number;
  readonly destinations: readonly [target: string, calls: number][];
  readonly cycles: readonly (readonly string[])[];
  readonly waits: readonly [key: string, Wait][];
  readonly traffic: readonly [target: string, { sent: number; received: number }][];
  readonly staged: { differs: number; denied: number; allowed: number } | null;
  readonly new: readonly [target: string, probe: boolean][];
}

/** What a run's events come to, counted as they pass. */
export class Tally {
  calls = 0;
  denials = 0;
  wouldDeny = 0;
  readonly #destinations = new Map<string, number>();
  readonly #cycles = new Map<string, readonly string[]>();
  readonly #waits = new Map<string, Wait>();
  readonly #traffic = new Map<string, { sent: number; received: number }>();
  readonly #staged: { policy: string; differs: number; denied: number; allowed: number } | null;
  readonly #seen: SeenDestinations | null;
  /** With each, whether all of it may have been looks at the route alone. */
  readonly #new = new Map<string, boolean>();

  /** `seen`: what earlier runs called, where new destinations are asked for. */
  constructor({ staged, seen }: { staged: string | null; seen: SeenDestinations | null }) {
    this.#staged = staged === null ? null : { policy: staged, differs: 0, denied: 0, allowed: 0 };
    this.#seen = seen;
  }

  /** As it is now, for another process that goes on with it. */
  snapshot(): TallySnapshot {
    const { calls, denials, wouldDeny } = this;
    return {
      ...{ calls, denials, wouldDeny, destinations: [...this.#destinations], cycles: this.cycles },
      ...{ waits: [...this.#waits], traffic: [...this.#traffic], new: [...this.#new] },
      staged: this.#staged && { ...this.#staged },
    };
  }

  /** Goes on where another one was. */
  restore({
    calls,
    denials,
    wouldDeny,
    destinations,
    cycles,
    waits,
    traffic,
    staged,
    new: found,
  }: TallySnapshot) {
    [this.calls, this.denials, this.wouldDeny] = [calls, denials, wouldDeny];
    for (const [target, count] of destinations) this.#destinations.set(target, count);
    for (const cycle of cycles) this.#cycles.set(cycle.join(' '), cycle);
    for (const [key, wait] of waits) this.#waits.set(key, { ...wait });
    for (const [target, carried] of traffic) this.#traffic.set(target, { ...carried });
    for (const [target, probe] of found) this.#new.set(target, probe);
    if (this.#staged && staged) Object.assign(this.#staged, staged);
  }

  /** `target` is the destination as messages have it. */
  add(event: AuditEvent, target: string): void {
    if (event.verdict === null) return;
    this.calls += event.count;
    const before = this.#destinations.get(target);
    if (before !== undefined || this.#destinations.size < MOST_DESTINATIONS)
      this.#destinations.set(target, (before ?? 0) + event.count);
    this.carry(event, target);
    this.#compare(event, event.verdict);
    if (this.#seen && this.#new.size < MOST_DESTINATIONS && !this.#seen.has(event))
      this.#new.set(target, (this.#new.get(target) ?? true) && isProbe(event));
    if (event.verdict !== 'allow' && event.dependency && event.rule?.kind === 'circular')
      this.#cycles.set(event.dependency.path.join(' '), event.dependency.path);
    if (event.verdict === 'would-deny') this.wouldDeny += event.count;
    if (event.verdict === 'deny') this.denials += event.count;
    if (event.verdict === 'deny' || isFailure(event.outcome)) this.#wait(event, target);
  }

  /** The bytes of a connection, once it has ended. */
  carry({ outcome }: AuditEvent, target: string): void {
    if (outcome?.bytes_sent == null) return;
    const carried = this.#traffic.get(target) ?? { sent: 0, received: 0 };
    carried.sent += outcome.bytes_sent;
    carried.received += outcome.bytes_received ?? 0;
    if (this.#traffic.size < MOST_DESTINATIONS) this.#traffic.set(target, carried);
  }

  #wait(event: AuditEvent, target: string): void {
    const outcome = event.verdict === 'deny' ? 'denied' : (event.outcome?.result ?? 'failed');
    const at = Date.parse(event.time);
    const key = `${outcome} ${target}`;
    const wait = this.#waits.get(key) ?? { outcome, attempts: 0, waitMs: 0, first: at, last: at };
    wait.attempts += event.count;
    wait.waitMs += (event.outcome?.duration_us ?? 0) / 1000;
    wait.first = Math.min(wait.first, at);
    wait.last = Math.max(wait.last, at);
    if (this.#waits.size < MOST_DESTINATIONS) this.#waits.set(key, wait);
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

  #compare({ staged, rule, count, kind }: AuditEvent, verdict: Verdict): void {
    if (!this.#staged || !staged) return;
    const live = answerOf(verdict, rule?.kind ?? null, kind);
    const tried = answerOf(staged.verdict, staged.rule.kind, kind);
    if (live === tried) return;
    this.#staged.differs += count;
    if (tried === 'deny') this.#staged.denied += count;
    if (live === 'deny') this.#staged.allowed += count;
  }

  /** Time lost to destinations that were denied or failed, the most first. */
  get waiting(): DestinationWait[] {
    const waits = [...this.#waits].map(([key, { outcome, attempts, waitMs, first, last }]) => ({
      ...{ destination: key.slice(outcome.length + 1), outcome, attempts },
      wait_ms: Math.round(waitMs),
      retry_ms: last - first,
    }));
    return waits.sort((a, b) => b.wait_ms + b.retry_ms - (a.wait_ms + a.retry_ms));
  }

  /** Bytes of connections that have ended, the most first. */
  get traffic(): DestinationTraffic[] {
    const carried = [...this.#traffic].map(([destination, { sent, received }]) => ({
      ...{ destination, bytes_sent: sent, bytes_received: received },
    }));
    return carried.sort((a, b) => b.bytes_sent + b.bytes_received - (a.bytes_sent + a.bytes_received));
  }
}
