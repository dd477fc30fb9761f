import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { Environment } from './launch.ts';

/** Standard output, for what a command was asked for. */
export interface Printer {
  /** Columns of the terminal; null where there is none, and nothing need fit. */
  readonly width: number | null;
  readonly colour: boolean;
  /** Writes lines, waiting for a slow reader. False: the reader has gone, and wants no more. */
  print(lines: readonly string[]): boolean;
}

const STDOUT = 1;
const NARROWEST = 60;
const EAGAIN_WAIT_MS = 5;

export function createPrinter(env: Environment = process.env, fd: number = STDOUT): Printer {
  const terminal = isatty(fd);
  const columns = process.stdout.columns ?? Number(env.COLUMNS);
  return {
    width: terminal ? Math.max(NARROWEST, columns || 80) : null,
    colour: terminal && !env.NO_COLOR && env.TERM !== 'dumb',
    print: (lines) => lines.length === 0 || write(fd, `${lines.join('\n')}\n`),
  };
}

function write(fd: number, text: string): boolean {
  let rest: Uint8Array = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') return false;
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, EAGAIN_WAIT_MS);
      else if (code !== 'EINTR') throw error;
    }
  }
  return true;
}
