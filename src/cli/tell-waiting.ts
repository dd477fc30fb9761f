import { spoolDirectories, waitingIn } from '../audit/spool.ts';
import type { Output } from './output.ts';

/** Says if there are records that are not in the trail yet. */
export function tellWaiting(directory: string, output: Output): void {
  const waiting = waitingIn(spoolDirectories(directory));
  if (waiting.bytes > 0)
    output.say('warning', [
      `acyclic: ${Math.ceil(waiting.bytes / 1024)} KiB of records wait in ${waiting.files[0]}, and are not in this`,
      'the next run puts them into the trail',
    ]);
}
