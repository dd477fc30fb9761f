interface Bucket {
  tokens: number;
  /** Milliseconds of performance.now(). */
  filled: number;
}

/** Users whose buckets are kept; past that, full ones are forgotten, which changes nothing for them. */
const MOST_BUCKETS = 1024;

/** A token bucket for each uid. */
export class Rate {
  readonly #buckets = new Map<number, Bucket>();
  readonly #burst: number;
  readonly #perSecond: number;

  constructor({ burst, rate }: { burst: number; rate: number }) {
    this.#burst = burst;
    this.#perSecond = rate;
  }

  /** Takes one request's token; otherwise gives the seconds until there is one. `now`: of performance.now(). */
  take(uid: number, now: number): number | null {
    const bucket = this.#buckets.get(uid) ?? { tokens: this.#burst, filled: now };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((now - bucket.filled) / 1000) * this.#perSecond);
    bucket.filled = now;
    this.#buckets.set(uid, bucket);
    if (this.#buckets.size > MOST_BUCKETS) this.#forget(now);
    if (bucket.tokens < 1) return (1 - bucket.tokens) / this.#perSecond;
    bucket.tokens -= 1;
    return null;
  }

  #forget(now: number): void {
    const fillMs = (this.#burst / this.#perSecond) * 1000;
    for (const [uid, { filled }] of this.#buckets) if (now - filled >= fillMs) this.#buckets.delete(uid);
  }
}
