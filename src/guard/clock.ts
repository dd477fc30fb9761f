/** Turns the kernel's monotonic times into wall time. */
export class Clock {
  #offset = 0n;
  /** The millisecond told last, as a number and up to its digits: events come many to one. */
  #millisecond = Number.NaN;
  #text = '';
  readonly #read: () => { monotonic: bigint; realtime: bigint };

  constructor(read: () => { monotonic: bigint; realtime: bigint }) {
    this.#read = read;
    this.refresh();
  }

  /** Follows the wall clock where it was stepped. */
  refresh(): void {
    const { monotonic, realtime } = this.#read();
    this.#offset = realtime - monotonic;
  }

  /** RFC 3339, UTC, nanoseconds. */
  wall(monotonic: bigint): string {
    const realtime = monotonic + this.#offset;
    const milliseconds = Number(realtime / 1_000_000n);
    if (milliseconds !== this.#millisecond) {
      this.#millisecond = milliseconds;
      this.#text = new Date(milliseconds).toISOString().slice(0, -1);
    }
    return `${this.#text}${String(realtime % 1_000_000n).padStart(6, '0')}Z`;
  }
}
