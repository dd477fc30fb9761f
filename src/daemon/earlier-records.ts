import { AuditFailure } from '../audit/failure.ts';
import { TrailReader } from '../audit/reader.ts';
import type { Log } from './log.ts';

/** What was begun before this process is over by then: no call is waited for longer. */
const OPEN_MS = 310_000;

/**
 * What an earlier daemon has put on record, while it may be told again: the trail takes each event once whatever comes,
 * but counts and streams must not have it twice. A call it recorded as open may be told again minutes from now.
 */
export class EarlierRecords {
  #reader: TrailReader | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** `directory`: the state directory. */
  constructor(directory: string, log: Log) {
    try {
      this.#reader = new TrailReader(directory);
    } catch (error) {
      if (error instanceof AuditFailure && error.code === 'no-store') return;
      log.error({ error: (error as Error).message }, 'what is told again may be counted twice');
    }
  }

  /** Whether that event is there; where that cannot be read it is recorded once more. */
  has(id: string): boolean {
    try {
      return (this.#reader?.placeOf(id) ?? null) !== null;
    } catch {
      return false;
    }
  }

  /** All that an earlier daemon had in its hands is told again; what of it goes on is looked after until it is over. */
  settle(): void {
    this.#timer = setTimeout(() => this.close(), OPEN_MS).unref();
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#reader?.close();
    this.#reader = null;
  }
}
