import type {
  AttemptRecord,
  KernelRecord,
  OpeningPieceRecord,
  OpeningRecord,
  OutcomeRecord,
  ReturnRecord,
} from '../kernel/records.ts';
import type { EventListener } from '../model/event.ts';
import type { Opening } from '../model/opening.ts';
import type { Chains } from '../policy/opening.ts';
import { readFirstBytes } from '../wire/first-bytes.ts';
import { openingOf } from './first-bytes.ts';
import { type Course, failed, withCourse } from './outcome.ts';
import type { Recorded, Recorder } from './recorder.ts';

/** How long a connection's event waits for its first bytes, its end and the bytes it carried. */
const HOLD_MS = 5000;
/** How long it waits for the connection to come about: longer than the kernel tries (127 s unless it is told to). */
const CONNECT_MS = 300_000;
/** How long an event waits for its call to return, where it is told only of failures. */
const RETURN_MS = 100;
/** Calls held at once; past that the oldest is recorded as it is known by then. */
const MOST_HELD = 10_000;
const TCP = 6;

/** A call that is not over. */
interface Held {
  readonly attempt: AttemptRecord;
  /** Of its address, when it was made: later lookups are no names of it. */
  readonly known: Chains;
  until: number;
  /** When its connection is given up on. */
  readonly last: number;
  readonly pieces: Uint8Array[];
  readonly listener: EventListener | null;
  /** As it was told or will be, where no more can be said of it but how its call returned. */
  recorded: Recorded | null;
  says: Opening | null;
  course: Course;
}

/** What a record of a call can be. */
export type CallRecord = Extract<
  KernelRecord,
  { type: 'attempt' | 'opening' | 'opening-piece' | 'return' | 'outcome' }
>;

/**
 * Calls from their attempt to their end, so that one call is one event, which has the name its first bytes gave and
 * how it ended. What is denied is told at once; it is recorded when the call has returned.
 */
export class Calls {
  readonly #recorder: Recorder;
  readonly #listenerOf: (attempt: AttemptRecord) => EventListener | null;
  readonly #tell: (recorded: Recorded) => void;
  readonly #record: (recorded: Recorded) => void;
  readonly #carried: (recorded: Recorded) => void;
  readonly #held = new Map<bigint, Held>();
  /** The latest connection of each thread, while it is held: a thread is in one call at a time. */
  readonly #latest = new Map<number, bigint>();
  /** Connections whose events are recorded and that go on: what they carry is told when they end. */
  readonly #lasting = new Map<bigint, Recorded>();
  /** Calls that are to return, by the thread that made them. */
  readonly #returning = new Map<number, Held>();
  readonly #syscalls: boolean;
  readonly #now: () => number;

  constructor(options: {
    recorder: Recorder;
    /** Who listens where a call came to, outside the run. */
    listenerOf: (attempt: AttemptRecord) => EventListener | null;
    /** Whether it is told how calls return. */
    syscalls: boolean;
    /** CLOCK_MONOTONIC, milliseconds. */
    now: () => number;
    /** What is denied, at once. */
    tell: (recorded: Recorded) => void;
    /** Everything, when it is over. */
    record: (recorded: Recorded) => void;
    /** What was recorded while it went on, when it has ended. */
    carried: (recorded: Recorded) => void;
  }) {
    this.#recorder = options.recorder;
    this.#listenerOf = options.listenerOf;
    this.#syscalls = options.syscalls;
    this.#now = options.now;
    this.#tell = options.tell;
    this.#record = options.record;
    this.#carried = options.carried;
  }

  take(record: CallRecord): void {
    switch (record.type) {
      case 'attempt':
        this.#attempt(record);
        break;
      case 'opening':
        this.#opening(record);
        break;
      case 'opening-piece':
        this.#piece(record);
        break;
      case 'return':
        this.#return(record);
        break;
      case 'outcome':
        this.#outcome(record);
    }
  }

  /** Records what has been waited for long enough. */
  flush(): void {
    const now = this.#now();
    for (const held of this.#returning.values()) if (held.until <= now) this.#endReturning(held);
    for (const [cookie, held] of this.#held) {
      if (held.until > now) return;
      if (held.course.connected || held.says || held.last <= now) this.#end(cookie);
      else {
        held.until = now + HOLD_MS;
        // Those held are in the order of their times.
        this.#held.delete(cookie);
        this.#held.set(cookie, held);
      }
    }
  }

  /** Records what began before a time, CLOCK_MONOTONIC nanoseconds, as it is known by now. */
  settle(before: bigint): void {
    for (const held of [...this.#returning.values()])
      if (held.attempt.time < before) this.#endReturning(held);
    for (const [cookie, { attempt }] of this.#held) if (attempt.time < before) this.#end(cookie);
  }

  /** Connections whose end is not known. */
  get open(): number {
    return this.#held.size;
  }

  /** Records all that is held. */
  close(): void {
    for (const held of [...this.#returning.values()]) this.#endReturning(held);
    for (const cookie of [...this.#held.keys()]) this.#end(cookie);
  }

  #attempt(attempt: AttemptRecord): void {
    const { cookie, decision, kind, protocol, tid, hook } = attempt;
    this.#end(cookie);
    const denied = decision === 'deny';
    const known = this.#recorder.known(attempt);
    const held = { attempt, known, pieces: [], says: null, course: {} };
    if (!denied && kind === 'connect' && protocol === TCP) {
      const listener = this.#listenerOf(attempt);
      const now = this.#now();
      const times = { until: now + HOLD_MS, last: now + CONNECT_MS };
      this.#hold(this.#held, cookie, { ...held, ...times, listener, recorded: null });
      this.#latest.set(tid, cookie);
      return;
    }
    const recorded = this.#recorder.attempt(attempt, known);
    if (denied) this.#tell(recorded);
    const listener = denied ? null : this.#listenerOf(attempt);
    // Packets and sums of repeats are of no call of their own.
    if (this.#syscalls && tid !== 0 && hook !== 'cgroup_skb/egress' && attempt.count === 1) {
      const until = this.#now() + RETURN_MS;
      this.#hold(this.#returning, tid, { ...held, listener, until, last: until, recorded });
    } else this.#record(withListener(recorded, listener));
  }

  /** First bytes the kernel has judged. */
  #opening({ attempt, says }: OpeningRecord): void {
    const held = this.#held.get(attempt.cookie);
    if (attempt.decision === 'deny') {
      if (held) this.#forget(held);
      const recorded = this.#recorder.opened(attempt, says);
      this.#tell(recorded);
      this.#record(withCourse(recorded, held?.course ?? {}, attempt.time));
    } else if (held) held.says = says;
    else this.#record(this.#recorder.opened(attempt, says));
  }

  /** First bytes seen in passing. */
  #piece({ cookie, payload }: OpeningPieceRecord): void {
    const held = this.#held.get(cookie);
    if (!held || held.says) return;
    held.pieces.push(payload);
    const read = readFirstBytes(Buffer.concat(held.pieces));
    if (read.kind !== 'incomplete') held.says = openingOf(read);
  }

  #return(record: ReturnRecord): void {
    const within = ({ attempt }: Held) => record.since <= attempt.time && attempt.time <= record.time;
    const returning = this.#returning.get(record.tid);
    if (returning && within(returning)) {
      returning.course.returned = record;
      this.#endReturning(returning);
      return;
    }
    const foreign = this.#recorder.foreign(record);
    if (foreign) {
      this.#record(foreign);
      return;
    }
    const held = this.#held.get(this.#latest.get(record.tid) ?? 0n);
    if (!held || !within(held)) return;
    held.course.returned = record;
    this.#end(held.attempt.cookie);
  }

  #outcome(record: OutcomeRecord): void {
    const held = this.#held.get(record.cookie);
    if (held) held.course[record.state] = record;
    if (record.state !== 'closed') return;
    this.#end(record.cookie);
    const lasting = this.#lasting.get(record.cookie);
    if (!lasting) return;
    this.#lasting.delete(record.cookie);
    this.#carried(withCourse(lasting, { closed: record }, record.time));
  }

  #hold<Key>(where: Map<Key, Held>, key: Key, held: Held): void {
    const before = where.get(key);
    if (before?.recorded) this.#endReturning(before);
    const [oldest] = where.size >= MOST_HELD ? where.values() : [];
    if (oldest?.recorded) this.#endReturning(oldest);
    else if (oldest) this.#end(oldest.attempt.cookie);
    where.set(key, held);
  }

  #endReturning({ attempt, recorded, course, listener }: Held): void {
    this.#returning.delete(attempt.tid);
    if (recorded) this.#record(withListener(withCourse(recorded, course, attempt.time), listener));
  }

  #forget({ attempt: { cookie, tid } }: Held): void {
    this.#held.delete(cookie);
    if (this.#latest.get(tid) === cookie) this.#latest.delete(tid);
  }

  #end(cookie: bigint): void {
    const held = this.#held.get(cookie);
    if (!held) return;
    this.#forget(held);
    const { attempt, known, says, course, listener } = held;
    // A connection that failed has said nothing; of one that did not, its bytes are the later word.
    const recorded =
      says && !failed(course)
        ? this.#recorder.opened(attempt, says, known)
        : this.#recorder.attempt(attempt, known);
    const ended = withListener(withCourse(recorded, course, attempt.time), listener);
    this.#record(ended);
    if (course.connected && !course.closed) this.#follow(cookie, ended);
  }

  #follow(cookie: bigint, recorded: Recorded): void {
    const [oldest] = this.#lasting.size >= MOST_HELD ? this.#lasting.keys() : [];
    if (oldest !== undefined) this.#lasting.delete(oldest);
    this.#lasting.set(cookie, recorded);
  }
}

function withListener(recorded: Recorded, listener: EventListener | null): Recorded {
  return listener ? { ...recorded, event: { ...recorded.event, listener } } : recorded;
}
