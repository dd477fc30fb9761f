import type { AttemptRecord, OpeningPieceRecord, OpeningRecord } from '../kernel/records.ts';
import { readFirstBytes } from '../wire/first-bytes.ts';
import { openingOf } from './first-bytes.ts';
import type { Recorded, Recorder } from './recorder.ts';

/** How long an allowed connection's event waits for its first bytes: most come within a round trip. */
const HOLD_MS = 1000;
/** Connections held at once; past that the oldest is told without its first bytes. */
const MOST_HELD = 10_000;
const TCP = 6;

interface Held {
  readonly attempt: AttemptRecord;
  readonly since: number;
  readonly pieces: Uint8Array[];
}

/**
 * Connections that were let through and have not said yet whom they are for: so that one connection is one event,
 * which has the name it gave.
 */
export class Connections {
  readonly #recorder: Recorder;
  readonly #tell: (recorded: Recorded) => void;
  readonly #audit: boolean;
  readonly #held = new Map<bigint, Held>();

  constructor(options: { recorder: Recorder; audit: boolean; tell: (recorded: Recorded) => void }) {
    this.#recorder = options.recorder;
    this.#audit = options.audit;
    this.#tell = options.tell;
  }

  attempt(attempt: AttemptRecord): void {
    const { cookie, decision, kind, protocol, opening } = attempt;
    this.#release(cookie);
    const says = opening !== 'none' || (this.#audit && kind === 'connect' && protocol === TCP);
    if (!says || decision === 'deny') {
      this.#tell(this.#recorder.attempt(attempt));
      return;
    }
    if (this.#held.size >= MOST_HELD) this.#release(this.#held.keys().next().value);
    this.#held.set(cookie, { attempt, since: performance.now(), pieces: [] });
  }

  /** First bytes the kernel has judged. */
  opening({ attempt, says }: OpeningRecord): void {
    const held = this.#held.get(attempt.cookie);
    this.#held.delete(attempt.cookie);
    // The call's own record has more of who made it; the decision is the later one.
    const caller = held ? { time: held.attempt.time, pid: held.attempt.pid, comm: held.attempt.comm } : {};
    this.#tell(this.#recorder.opened({ ...attempt, ...(attempt.decision === 'deny' ? {} : caller) }, says));
  }

  /** First bytes seen in passing. */
  piece({ cookie, payload }: OpeningPieceRecord): void {
    const held = this.#held.get(cookie);
    if (!held) return;
    held.pieces.push(payload);
    const read = readFirstBytes(Buffer.concat(held.pieces));
    if (read.kind === 'incomplete') return;
    this.#held.delete(cookie);
    this.#tell(this.#recorder.opened(held.attempt, openingOf(read)));
  }

  /** Tells those that have said nothing for so long that they may never. */
  flush(): void {
    const before = performance.now() - HOLD_MS;
    for (const [cookie, { since }] of this.#held) {
      if (since > before) return;
      this.#release(cookie);
    }
  }

  /** Tells all that are held. */
  close(): void {
    for (const cookie of this.#held.keys()) this.#release(cookie);
  }

  #release(cookie: bigint | undefined): void {
    const held = cookie === undefined ? undefined : this.#held.get(cookie);
    if (cookie === undefined || !held) return;
    this.#held.delete(cookie);
    this.#tell(this.#recorder.attempt(held.attempt));
  }
}
