import { Worker } from 'node:worker_threads';
import { writeLine } from './line.ts';
import type { TrailRecord } from './record.ts';
import { LIMITS, type Limits } from './retention.ts';
import type { FromWorker, ToWorker, WorkerOptions } from './worker.ts';
import type { Notice } from './writer.ts';

export interface TrailOptions {
  /** The state directory. */
  readonly directory: string;
  readonly limits?: Limits;
  readonly onNotice: (notice: Notice) => void;
}

/** What became of the records of a trail. */
export interface TrailEnd {
  /** Records that are neither in the store nor in the spool. */
  readonly lost: number;
  /** Records that wait in a spool for a store that can be written. */
  readonly spooled: number;
  readonly file: string | null;
  /** The worker did not answer, or died: what was still on its way is not known to be on disk, and counted lost. */
  readonly fault: string | null;
}

/** Bytes of records on their way to the disk, at most; the next ones are lost, and counted. */
const MOST_WAITING = 32 << 20;
/** Bytes of one message, which is one transaction; the worker has no more than two. */
const MESSAGE = 2 << 20;
const MOST_MESSAGES = 2;
/** How long records are gathered for one message: each is a wait for the disk. */
const GATHER_MS = 50;
/** How long a worker may be silent while there is something to write. */
const PATIENCE_MS = 10_000;
/** What the worker may use: it must not eat the host, whatever it is fed. */
const WORKER_HEAP = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 };

/** Lines for one message. They are kept outside the heap, which then has nothing to collect of them. */
interface Batch {
  readonly buffer: Buffer<ArrayBuffer>;
  length: number;
  lines: number;
}

/** The worker beside this module: in the sources, or in the bundle. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './acyclic-audit.mjs',
  import.meta.url,
);

/**
 * The audit trail, for whoever records. No call waits for a disk: records are handed to a worker, and what comes
 * faster than disks take it is counted as lost once the queue is full. What `flushed` has resolved for is on disk.
 */
export class AuditTrail {
  readonly #worker: Worker;
  readonly #onNotice: (notice: Notice) => void;
  /** Gathered and not yet sent, oldest first; the last one still grows. */
  #batches: Batch[] = [];
  /** Bytes of each message that is sent and not yet answered, oldest first. */
  readonly #sent: number[] = [];
  /** Buffers that came back, for the next batches. */
  readonly #spare: ArrayBuffer[] = [];
  #waiting = 0;
  /** Records that went into the queue, and those of them that are dealt with. */
  #accepted = 0;
  #settled = 0;
  #lost = 0;
  #timer: NodeJS.Timeout | null = null;
  #fault: string | null = null;
  /** Told at the next answer. */
  #waiters: (() => void)[] = [];
  #closed: ((end: Pick<TrailEnd, 'spooled' | 'file'>) => void) | null = null;
  #ending: Promise<TrailEnd> | null = null;

  constructor({ directory, limits = LIMITS, onNotice }: TrailOptions) {
    this.#onNotice = onNotice;
    const workerData: WorkerOptions = { directory, limits };
    // Its streams are its own: Node would open ours otherwise, and change what the guarded command shares.
    this.#worker = new Worker(WORKER, {
      ...{ workerData, name: 'audit trail', stdout: true, stderr: true, stdin: false },
      resourceLimits: WORKER_HEAP,
    });
    this.#worker.on('message', (message: FromWorker) => this.#hear(message));
    this.#worker.on('error', (error) => this.#die(error.message));
    this.#worker.on('exit', () => this.#die('it ended'));
    this.#worker.unref();
  }

  /** Records that are lost so far: the queue was full, or neither store nor spool could take them. */
  get lost(): number {
    return this.#lost;
  }

  record(record: TrailRecord): void {
    const line = writeLine(record);
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#fault !== null || this.#ending || this.#waiting + bytes > MOST_WAITING) {
      this.#lost += 1;
      return;
    }
    this.#accepted += 1;
    this.#waiting += bytes;
    const batch = this.#roomFor(bytes);
    // Between lines, not after the last: the first has none before it.
    if (batch.lines > 0) batch.length += batch.buffer.write('\n', batch.length);
    batch.length += batch.buffer.write(line, batch.length);
    batch.lines += 1;
    if (this.#batches.length > 1) this.#send();
    else this.#timer ??= setTimeout(() => this.#send(), GATHER_MS);
  }

  /** Has what was recorded so far written now, and not with what is recorded next: who ends soon need not wait for it. */
  hurry(): void {
    this.#send();
  }

  /** The batch that grows, or a new one if it has no room. */
  #roomFor(bytes: number): Batch {
    const last = this.#batches.at(-1);
    if (last && last.length + bytes <= last.buffer.length) return last;
    const spare = bytes <= MESSAGE ? this.#spare.pop() : undefined;
    const buffer = spare ? Buffer.from(spare) : Buffer.allocUnsafeSlow(Math.max(MESSAGE, bytes));
    const batch = { buffer, length: 0, lines: 0 };
    this.#batches.push(batch);
    return batch;
  }

  /**
   * Resolves when all that was recorded so far is on disk or counted as lost; false: the worker is silent. Waits as
   * long as there is progress, and no longer than `patienceMs` for the next.
   */
  async flushed(patienceMs: number = PATIENCE_MS): Promise<boolean> {
    const upTo = this.#accepted;
    this.#send();
    while (this.#settled < upTo) {
      const before = this.#settled;
      await within(patienceMs, (resolve) => this.#waiters.push(resolve));
      if (this.#settled === before) return false;
    }
    return true;
  }

  /** Ends the trail: what is on its way is written. Safe to call again. */
  close(): Promise<TrailEnd> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<TrailEnd> {
    let last: Pick<TrailEnd, 'spooled' | 'file'> = { spooled: 0, file: null };
    this.#send();
    // What has been sent already is written before the worker hears that it may end.
    const flushed = this.#batches.length === 0 || (await this.flushed());
    if (flushed && this.#fault === null) {
      const closed = await within(PATIENCE_MS, (resolve) => {
        this.#closed = ({ spooled, file }) => {
          last = { spooled, file };
          resolve();
        };
        this.#post({ kind: 'close' });
      });
      if (!closed) this.#closed = null;
    }
    if (this.#settled < this.#accepted) this.#die('it does not answer');
    return { lost: this.#lost, ...last, fault: this.#fault };
  }

  #send(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#sent.length < MOST_MESSAGES && this.#fault === null) {
      const batch = this.#batches.shift();
      if (!batch) return;
      this.#sent.push(batch.length);
      const { buffer } = batch.buffer;
      this.#post({ kind: 'write', buffer, length: batch.length, lines: batch.lines }, [buffer]);
    }
  }

  #post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #hear(message: FromWorker): void {
    if (message.kind === 'notice') this.#onNotice(message.notice);
    else if (message.kind === 'closed') this.#closed?.(message);
    else {
      this.#lost += message.lost;
      this.#settled += message.lines;
      // One byte more than a message has: each line was counted with its line feed.
      this.#waiting -= (this.#sent.shift() ?? 0) + 1;
      if (message.buffer.byteLength === MESSAGE && this.#spare.length < MOST_MESSAGES)
        this.#spare.push(message.buffer);
      // What still grows waits until it is due, unless somebody waits for it.
      if (this.#waiters.length > 0 || this.#batches.length > 1) this.#send();
      else if (this.#batches.length > 0) this.#timer ??= setTimeout(() => this.#send(), GATHER_MS);
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const resolve of waiters) resolve();
    }
  }

  /** What the worker had not answered is not known to be on disk. */
  #die(reason: string): void {
    if (this.#fault !== null || (this.#closed && this.#settled === this.#accepted)) return;
    this.#fault = reason;
    this.#lost += this.#accepted - this.#settled;
    this.#settled = this.#accepted;
    for (const resolve of this.#waiters) resolve();
    this.#closed?.({ spooled: 0, file: null });
    void this.#worker.terminate();
  }
}

/** False: it was not resolved within the time. */
function within(ms: number, start: (resolve: () => void) => void): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    start(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
