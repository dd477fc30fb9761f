/**
 * The worker that writes the audit trail: everything that may wait for a disk is done here, so that whoever guards
 * never does. `trail.ts` starts it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Limits } from './retention.ts';
import { type Notice, Writer } from './writer.ts';

export interface WorkerOptions {
  readonly directory: string;
  readonly limits: Limits;
}

export type ToWorker =
  /** Lines in UTF-8 between line feeds: the first `length` bytes of a buffer that is the worker's meanwhile. */
  | { readonly kind: 'write'; readonly buffer: ArrayBuffer; readonly length: number; readonly lines: number }
  | { readonly kind: 'close' };

export type FromWorker =
  | { readonly kind: 'notice'; readonly notice: Notice }
  /** The lines of one message are dealt with, `lost` of them neither stored nor spooled; its buffer comes back. */
  | { readonly kind: 'written'; readonly lines: number; readonly lost: number; readonly buffer: ArrayBuffer }
  | { readonly kind: 'closed'; readonly spooled: number; readonly file: string | null };

const TIDY_AFTER_MS = 200;
const TIDY_ON_MS = 20;

const port = parentPort;
if (!port) throw new Error('this module is a worker: see trail.ts');
const send = (message: FromWorker, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

const { directory, limits } = workerData as WorkerOptions;
const writer = new Writer({ directory, limits, tell: (notice) => send({ kind: 'notice', notice }) });

let tidying: NodeJS.Timeout | null = null;
function tidyLater(ms: number): void {
  tidying ??= setTimeout(() => {
    tidying = null;
    if (writer.tidy()) tidyLater(TIDY_ON_MS);
  }, ms);
}

tidyLater(TIDY_AFTER_MS);
port.on('message', (message: ToWorker) => {
  if (message.kind === 'write') {
    const { buffer, length, lines } = message;
    const lost = writer.write(Buffer.from(buffer, 0, length).toString('utf8').split('\n'));
    send({ kind: 'written', lines, lost, buffer }, [buffer]);
    tidyLater(TIDY_AFTER_MS);
    return;
  }
  if (tidying) clearTimeout(tidying);
  writer.close();
  send({ kind: 'closed', spooled: writer.spooled, file: writer.spoolFile });
  port.close();
});
