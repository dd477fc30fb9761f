import type { HostMessage } from './host-interface.ts';

/** Whom messages are delivered to: of one run, or of all. */
interface Reader {
  readonly run: string | null;
  readonly deliver: (message: HostMessage) => void;
}

/** Messages of one run that are kept, so that a reader that was cut off can go on where it was. */
const MOST_KEPT = 1024;

/** Passes messages on to whoever reads the streams, and keeps the latest of each run while it goes on. */
export class Hub {
  readonly #readers = new Set<Reader>();
  readonly #kept = new Map<string, HostMessage[]>();

  publish(run: string, message: HostMessage): void {
    if (message.id !== null) this.#keep(run, message);
    for (const reader of this.#readers)
      if (reader.run === null || reader.run === run) reader.deliver(message);
  }

  /** The run is over. */
  forget(run: string): void {
    this.#kept.delete(run);
  }

  /**
   * From after the message `after` of that run, or all that is kept where it is not known; and what comes from now on.
   * The order is that in which events are over, which is not that of their ids.
   */
  subscribe(
    { run, after }: { readonly run: string | null; readonly after: string | null },
    deliver: (message: HostMessage) => void,
  ): () => void {
    const kept = (run !== null && after !== null && this.#kept.get(run)) || [];
    const from = kept.findLastIndex(({ id }) => id === after) + 1;
    for (const message of kept.slice(from)) deliver(message);
    const reader = { run, deliver };
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  #keep(run: string, message: HostMessage): void {
    const kept = this.#kept.get(run);
    if (!kept) this.#kept.set(run, [message]);
    else if (kept.push(message) > MOST_KEPT) kept.shift();
  }
}
