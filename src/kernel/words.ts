import type { BpfMap } from './binding.ts';
import * as layout from './layout.gen.ts';
import { native } from './native.ts';

/** Levels of the cgroup tree that runs can be at, all together. */
const MOST_LEVELS = layout.engine.levels.size;
/** The programs look no deeper (bpf/process.bpf.c). */
const DEEPEST = 64;

/** The words shared with the programs in mapped memory (bpf/event.h struct engine). Each is written whole. */
export class EngineWords {
  readonly #longs: BigUint64Array;
  readonly #words: Uint32Array;

  constructor(map: BpfMap) {
    const memory = native().mapMmap(map);
    this.#longs = new BigUint64Array(memory, 0, layout.engine.size >> 3);
    this.#words = new Uint32Array(memory, 0, layout.engine.size >> 2);
  }

  /** The DNS proxy is alive now; past two seconds without this the run's lookups fail at once. */
  beat(): void {
    this.#longs[layout.engine.heartbeat.offset >> 3] = process.hrtime.bigint();
  }

  /** Where the DNS proxy listens: its network namespace (SO_NETNS_COOKIE) and port. */
  setProxy(port: number): void {
    this.#words[layout.engine.proxyPort.offset >> 2] = port;
  }

  setNetns(cookie: bigint): void {
    this.#longs[layout.engine.netns.offset >> 3] = cookie;
  }

  /** The one run there is, for sockets nobody stamped; 0: there are more, or none. */
  setRun(run: bigint): void {
    this.#longs[layout.engine.run.offset >> 3] = run;
  }

  /** Depths of the cgroups that are runs, the root's being 0; at most `MOST_LEVELS`. */
  setLevels(levels: Iterable<number>): void {
    const deepestFirst = [...new Set(levels)].sort((one, other) => other - one);
    if (deepestFirst.length > MOST_LEVELS || deepestFirst.some((level) => level < 1 || level > DEEPEST))
      throw new RangeError(`runs at levels ${deepestFirst.join(', ')} are more than the programs look at`);
    const bytes = new Uint8Array(MOST_LEVELS);
    bytes.set(deepestFirst);
    this.#longs[layout.engine.levels.offset >> 3] = new DataView(bytes.buffer).getBigUint64(0, true);
  }

  /** The levels set last, by whichever process. */
  get levels(): number[] {
    const bytes = new BigUint64Array([this.#longs[layout.engine.levels.offset >> 3] ?? 0n]);
    return [...new Uint8Array(bytes.buffer)].filter((level) => level > 0);
  }

  /** The number of its kind that was given out last. */
  latest(kind: 'generations' | 'facts' | 'profiles' | 'places'): number {
    return this.#words[layout.engine[kind].offset >> 2] ?? 0;
  }

  /** A number of its kind that was never given out before, as long as the tables live; not 0. */
  next(kind: 'generations' | 'facts' | 'profiles' | 'places'): number {
    const number = this.latest(kind) + 1;
    this.#words[layout.engine[kind].offset >> 2] = number;
    return number;
  }

  /** Numbers up to this one were given out by an engine with other tables, and may be on file still. */
  passOver(kind: 'generations' | 'facts', number: number): void {
    if (number > this.latest(kind)) this.#words[layout.engine[kind].offset >> 2] = number;
  }

  /** The denial with this ticket is on the terminal: its caller may go on. */
  told(ticket: number): void {
    const at = layout.engine.told.offset >> 2;
    if (((ticket - (this.#words[at] ?? 0)) | 0) > 0) this.#words[at] = ticket;
  }

  /** Asks the programs to wake the reader at their next record. They take the wish back when they do. */
  askToBeWoken(): void {
    this.#words[layout.engine.wakeup.offset >> 2] = 1;
  }
}
