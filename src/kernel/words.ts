import type { BpfMap } from './binding.ts';
import * as layout from './layout.gen.ts';
import { native } from './native.ts';

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

  /** The one run there is, for sockets nobody stamped. */
  setRun(run: bigint): void {
    this.#longs[layout.engine.run.offset >> 3] = run;
  }

  /** Depth of the cgroups that are runs. */
  setLevel(level: number): void {
    this.#words[layout.engine.level.offset >> 2] = level;
  }

  /** The denial with this ticket is on the terminal: its caller may go on. */
  told(ticket: number): void {
    this.#words[layout.engine.told.offset >> 2] = ticket;
  }

  /** Asks the programs to wake the reader at their next record. They take the wish back when they do. */
  askToBeWoken(): void {
    this.#words[layout.engine.wakeup.offset >> 2] = 1;
  }
}
