import { type Cgroup, cgroupOf, processesIn } from '../kernel/cgroup.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import { native } from '../kernel/native.ts';
import type { KernelRecord } from '../kernel/records.ts';
import type { Dependencies } from './dependency.ts';
import { type FoundProcess, findProcess } from './found-process.ts';
import type { ProcessTable } from './processes.ts';

/** An existing cgroup to watch or guard. Nothing in it is moved, killed or removed. */
export interface Attachment {
  readonly cgroup: Cgroup;
  /** The service its processes are, where what they call is recorded as that of a service. */
  readonly service: string | null;
  /** The cgroup is gone, and with it all there was to guard. */
  readonly onGone: () => void;
}

/**
 * The processes of an existing cgroup, which were there before the records. Those that led to them from outside are
 * nobody's business here, and are not looked up.
 */
export class Residents {
  readonly #processes: ProcessTable;
  readonly #dependencies: Dependencies;
  readonly #asleep: bigint;
  /** From the root of the tree, with a slash at its end. */
  readonly #place: string;

  constructor(cgroup: Cgroup, processes: ProcessTable, dependencies: Dependencies) {
    const { boottime, monotonic } = native().clocks();
    this.#place = `${cgroup.path.slice(findCgroup2().length)}/`;
    this.#asleep = boottime - monotonic;
    this.#processes = processes;
    this.#dependencies = dependencies;
  }

  /** Looks up who is there. */
  adoptAll(path: string): void {
    const now = native().clocks().monotonic;
    for (const pid of processesIn(path)) this.#adopt(pid, now);
  }

  /** Looks up who speaks, if nothing is known of it. False: there is nothing to tell, since who leaves is free to. */
  admit(record: KernelRecord): boolean {
    switch (record.type) {
      case 'escape':
        return false;
      case 'opening':
        this.#adopt(record.attempt.pid, record.attempt.time);
        break;
      case 'attempt':
      case 'return':
      case 'dns-reply':
        this.#adopt(record.pid, record.time);
        break;
      case 'fork':
      case 'exec':
        this.#adopt(record.parent, record.time);
    }
    return true;
  }

  #adopt(pid: number, time: bigint): void {
    if (pid === 0) return;
    if (this.#processes.adopt(pid, time, (one) => this.#find(one))) this.#dependencies.executed(pid, time);
  }

  #find(pid: number): FoundProcess | null {
    try {
      return `${cgroupOf(pid)}/`.startsWith(this.#place) ? findProcess(pid, this.#asleep) : null;
    } catch {
      return null;
    }
  }
}
