/** Turns the kernel's monotonic times into wall time. */
export class Clock {
  #offset = 0n;
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
    const rest = String(realtime % 1_000_000n).padStart(6, '0');
    return `${new Date(milliseconds).toISOString().slice(0, -1)}${rest}Z`;
  }
}
