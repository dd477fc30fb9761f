import { formatTime, type Timestamp } from '../model/time.ts';

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

  /** The wall time of a monotonic one. */
  wall(monotonic: bigint): Timestamp {
    return formatTime(monotonic + this.#offset);
  }
}
