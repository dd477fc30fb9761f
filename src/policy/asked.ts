import type { AuditEvent } from '../model/event.ts';
import type { Name } from '../model/name.ts';

/** Processes whose lookups are remembered one by one; past that, those of the run as a whole are known. */
const MOST_PROCESSES = 100_000;

/**
 * Which names were asked for, by run and by process: of the names an address is known by, those the caller asked
 * for are the ones it meant. The others are aliases, or of somebody else who was led to the same address.
 */
export class AskedNames {
  readonly #byRun = new Map<string, Set<Name>>();
  readonly #byProcess = new Map<string, Set<Name>>();

  remember({ run, process }: AuditEvent, name: Name): void {
    note(this.#byRun, run, name);
    if (this.#byProcess.size >= MOST_PROCESSES) this.#byProcess.clear();
    if (process) note(this.#byProcess, `${run} ${process.pid}`, name);
  }

  /** Of these names, the ones the event's process asked for; else those its run did; else all. */
  meant({ run, process }: AuditEvent, names: readonly Name[]): readonly Name[] {
    const own = this.#byProcess.get(`${run} ${process?.pid}`);
    for (const asked of [own, this.#byRun.get(run)]) {
      const found = names.filter((name) => asked?.has(name));
      if (found.length > 0) return found;
    }
    return names;
  }
}

function note(map: Map<string, Set<Name>>, key: string, name: Name): void {
  const set = map.get(key);
  if (set) set.add(name);
  else map.set(key, new Set([name]));
}
