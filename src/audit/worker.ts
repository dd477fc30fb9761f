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
  | { readonly kind: 'write'; readonly text: string; readonly lines: number }
  | { readonly kind: 'close' };

export type FromWorker =
  | { readonly kind: 'notice'; readonly notice: Notice }
  /** So many lines of one message are dealt with; `lost` of them neither stored nor spooled. */
  | { readonly kind: 'written'; readonly lines: number; readonly lost: number }
  | { readonly kind: 'closed'; readonly spooled: number; readonly file: string | null };

const TIDY_AFTER_MS = 200;
const TIDY_ON_MS = 20;

const port = parentPort;
if (!port) throw new Error('this module is a worker: see trail.ts');
const send = (message: FromWorker) => port.postMessage(message);

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
    const lost = writer.write(message.text.split('\n'));
    send({ kind: 'written', lines: message.lines, lost });
    tidyLater(TIDY_AFTER_MS);
    return;
  }
  if (tidying) clearTimeout(tidying);
  writer.close();
  send({ kind: 'closed', spooled: writer.spooled, file: writer.spoolFile });
  port.close();
});
