import { setTimeout as sleep } from 'node:timers/promises';
import type { StreamMessage, Told } from '../daemon/answers.ts';
import { type Client, DaemonAnswer } from '../daemon/client.ts';
import type { RunSummary } from '../model/summary.ts';

const RETRY_MS = 100;
/** The daemon keeps no more than 1024 events of a run for readers that come back. */
const REMEMBERED = 4096;
/** Events come when they are over, so that a later id may come first: so far back the stream is read again. */
const READ_AGAIN = 64;

/** Who is told what a run's stream says. */
export interface StreamReader {
  /** A call that was denied, once each. */
  denied(told: Told): void;
  /** An event that is over, once each. */
  event(told: Told): void;
  guardLost(): void;
  /** The daemon is not there, or does not know the run: what comes now is missing until it is back. */
  away(error: unknown): void;
  back(): void;
}

/** The stream of one run. It is taken up again where it broke, so that nothing is told twice or left out. */
export class RunStream {
  /** The daemon has agreed: from now on nothing is missed. Rejects when it does not. */
  readonly opened: Promise<void>;
  /** The run's summary, which is its last message; null where the stream came to no end of its own. */
  readonly ended: Promise<RunSummary | null>;
  readonly #client: Client;
  readonly #run: string;
  readonly #reader: StreamReader;
  readonly #stop = new AbortController();
  /** Ids of events that came, the latest last. */
  readonly #seen = new Set<string>();
  /** Ids of denials that were told, and are not over. */
  readonly #told = new Set<string>();
  #summary: RunSummary | null = null;
  #cut = false;
  #away = false;
  #open: (() => void) | null = null;

  constructor(client: Client, run: string, reader: StreamReader) {
    this.#client = client;
    this.#run = run;
    this.#reader = reader;
    const opening = Promise.withResolvers<void>();
    this.#open = opening.resolve;
    this.opened = opening.promise;
    this.ended = this.#follow().catch((error: unknown) => {
      opening.reject(error);
      return null;
    });
    // Who waits for it is told; where nobody does, the run was given up already.
    this.opened.catch(() => {});
  }

  /** Reads no further. */
  stop(): void {
    this.#stop.abort();
  }

  async #follow(): Promise<RunSummary | null> {
    const { signal } = this.#stop;
    while (!signal.aborted && !this.#summary) {
      try {
        await this.#read();
        if (this.#summary || signal.aborted) break;
        if (!this.#cut) this.#goAway(new Error('the daemon has stopped'));
        this.#cut = false;
      } catch (error) {
        if (this.#open) throw error;
        this.#goAway(error);
        if (error instanceof DaemonAnswer && (error.status === 404 || error.status === 403)) break;
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
    return this.#summary;
  }

  async #read(): Promise<void> {
    const messages = this.#client.events(`/v1/runs/${this.#run}/events`, {
      after: this.#after,
      signal: this.#stop.signal,
      opened: () => this.#opened(),
    });
    for await (const { message } of messages) this.#take(message);
  }

  #opened(): void {
    this.#open?.();
    this.#open = null;
    if (this.#away) this.#reader.back();
    this.#away = false;
  }

  #goAway(error: unknown): void {
    if (!this.#away) this.#reader.away(error);
    this.#away = true;
  }

  /** Ids are ULIDs: the run's own is before those of all its events. */
  get #after(): string {
    const last = [...this.#seen].slice(-READ_AGAIN);
    return last.length < READ_AGAIN ? this.#run : (last.sort()[0] ?? this.#run);
  }

  #take(message: StreamMessage): void {
    switch (message.kind) {
      case 'denied':
        this.#told.add(message.event.id);
        this.#reader.denied(message);
        break;
      case 'event':
        this.#takeEvent(message);
        break;
      case 'guard-lost':
        this.#reader.guardLost();
        break;
      case 'cut':
        this.#cut = true;
        break;
      case 'ended':
        this.#summary = message.summary;
    }
  }

  #takeEvent(told: Told): void {
    const { id, verdict } = told.event;
    if (this.#seen.has(id)) return;
    this.#seen.add(id);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value ?? '');
    // Its message may have been missed while the daemon was away.
    if (!this.#told.delete(id) && verdict === 'deny') this.#reader.denied(told);
    this.#reader.event(told);
  }
}
