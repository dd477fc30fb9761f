import type { LeaseSettings } from '../../src/guard/lease-settings.ts';
import { SLACK } from './harness.ts';

/** A span of the test's clock within which something happened. Milliseconds. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * What is known of a chain at an address; each end of a span is what may have been at the earliest and
 * latest.
 */
interface Held {
  readonly names: readonly string[];
  end: Span;
  used: Span;
  /** There was a socket open while it held for sure, and there has been one since. */
  kept: boolean;
}

const NEVER: Span = { from: Number.NEGATIVE_INFINITY, to: Number.NEGATIVE_INFINITY };

/**
 * The rule for leases and policy (docs/policy.md), by what the test saw from outside: names in answers,
 * calls, their times. Where a moment is too close to a lapse to tell, both outcomes are right.
 */
export class OrderModel {
  readonly #settings: LeaseSettings;
  readonly #byAddress = new Map<string, Map<string, Held>>();
  readonly #open = new Map<string, number>();

  constructor(settings: LeaseSettings) {
    this.#settings = settings;
  }

  /** An answer: the name asked for and its aliases lead to an address. */
  answered(address: string, names: readonly string[], ttl: number, at: Span): void {
    const { floor, cap } = this.#settings;
    const lasts = Math.min(Math.max(ttl * 1000, floor), cap);
    const held = this.#at(address);
    const known = held.get(names.join(' '));
    // A socket that is open keeps what is learned meanwhile, too.
    const kept = (this.#open.get(address) ?? 0) > 0;
    const end = { from: at.from + lasts, to: at.to + lasts };
    if (known && this.#mayHold(address, known, at.from)) {
      known.end = later(known.end, end);
      known.kept = kept;
    } else held.set(names.join(' '), { names, end, used: NEVER, kept });
  }

  /** What a call at this time may come to. */
  outcomes(address: string, at: Span): Set<'allowed' | 'denied'> {
    const held = [...this.#at(address).values()];
    const sure = held.filter((one) => this.#holds(one, at.to)).flatMap(({ names }) => names);
    const perhaps = held.filter((one) => this.#mayHold(address, one, at.from)).flatMap(({ names }) => names);
    const outcomes = new Set<'allowed' | 'denied'>();
    if (perhaps.some(isDenied) || !sure.some(isAllowed)) outcomes.add('denied');
    if (!sure.some(isDenied) && perhaps.some(isAllowed)) outcomes.add('allowed');
    return outcomes;
  }

  /** A call was let through, and its socket is open. */
  opened(address: string, at: Span): void {
    this.#use(address, at, true);
    this.#open.set(address, (this.#open.get(address) ?? 0) + 1);
  }

  closed(address: string, at: Span): void {
    const left = (this.#open.get(address) ?? 0) - 1;
    this.#open.set(address, left);
    this.#use(address, at, left > 0);
  }

  #use(address: string, at: Span, open: boolean): void {
    for (const one of this.#at(address).values()) {
      const sure = this.#holds(one, at.to);
      one.used = {
        from: sure ? at.from : one.used.from,
        to: this.#mayHold(address, one, at.from) ? at.to : one.used.to,
      };
      one.kept = open && sure;
    }
  }

  #holds(one: Held, at: number): boolean {
    return one.kept || at < Math.max(one.end.from, one.used.from) + this.#settings.grace;
  }

  #mayHold(address: string, one: Held, at: number): boolean {
    if (one.kept) return true;
    if ((this.#open.get(address) ?? 0) > 0 && one.used.to > Number.NEGATIVE_INFINITY) return true;
    return at <= Math.max(one.end.to, one.used.to) + this.#settings.grace + SLACK;
  }

  #at(address: string): Map<string, Held> {
    const held = this.#byAddress.get(address) ?? new Map<string, Held>();
    this.#byAddress.set(address, held);
    return held;
  }
}

function later(a: Span, b: Span): Span {
  return { from: Math.max(a.from, b.from), to: Math.max(a.to, b.to) };
}

const isAllowed = (name: string) => name.endsWith('.ok.example');
const isDenied = (name: string) => name === 'bad.example';
