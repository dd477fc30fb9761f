import { formatTime, type Timestamp } from '../model/time.ts';

/** Turns the kernel's monotonic times into wall time. */
export class Clock {
  #offset = 0n;
  /** The millisecond told last, as a number and up to its digits: events come many to one. */
  #millisecond = -1n;
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

  /** The wall time of a monotonic one. */
  wall(monotonic: bigint): Timestamp {
    const realtime = monotonic + this.#offset;
    const millisecond = realtime / 1_000_000n;
    if (millisecond !== this.#millisecond) {
      this.#millisecond = millisecond;
      this.#text = formatTime(realtime).slice(0, -'000000Z'.length);
    }
    return `${this.#text}${String(realtime % 1_000_000n).padStart(6, '0')}Z`;
  }
}
