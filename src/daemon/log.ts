import pino from 'pino';

/**
 * The daemon's log: JSON, a line each, on standard output. What is given beside the message are values of ours: a
 * route, an id, a uid, a code; never a body, a command line or an environment, which may hold secrets.
 */
export interface Log {
  debug(what: object, message: string): void;
  info(what: object, message: string): void;
  warn(what: object, message: string): void;
  error(what: object, message: string): void;
  /** Waits until what was said is written, for a second at most. */
  close(): Promise<void>;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Bytes that wait for a reader of standard output; what comes beyond is dropped, and the loop goes on. */
const MOST_WAITING = 1 << 20;
const CLOSE_MS = 1000;

/** Priorities of syslog(3), by pino's levels. */
const PRIORITY: Readonly<Record<number, number>> = { 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };

/** `journal`: standard output is the journal's, which takes a priority before each line. */
export function createLog({
  level,
  journal = process.env.JOURNAL_STREAM !== undefined,
}: {
  level: LogLevel;
  journal?: boolean;
}): Log {
  // Written by another thread: a terminal or a pipe that is full would hold up lookups and heartbeats.
  const file = pino.destination({ fd: 1, sync: false, maxLength: MOST_WAITING });
  const stream = journal ? withPriority(file) : file;
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    stream,
  );
  return {
    debug: (what, message) => log.debug(what, message),
    info: (what, message) => log.info(what, message),
    warn: (what, message) => log.warn(what, message),
    error: (what, message) => log.error(what, message),
    close: () =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, CLOSE_MS);
        file.flush(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

/** As sd-daemon(3) has it: `<6>` before the line. */
function withPriority(file: { write(line: string): unknown }): pino.DestinationStream {
  return {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write(line: string) {
      file.write(`<${PRIORITY[this.lastLevel] ?? 6}>${line}`);
    },
  } as pino.DestinationStream & { lastLevel: number };
}
