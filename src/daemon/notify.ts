import { native } from '../kernel/native.ts';
import type { Log } from './log.ts';

/** What the service manager is told (sd_notify(3)); nothing, where there is none that listens. */
export interface Notifier {
  /** The daemon guards and serves. */
  ready(status: string): void;
  reloading(): void;
  stopping(): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
  /** Ends the watchdog's beat. */
  close(): void;
}

/**
 * `well` is asked before each beat of the watchdog, at half its time: a loop that hangs asks nothing, and what says
 * no is restarted by systemd. `env` is of the daemon as systemd started it.
 */
export function createNotifier(options: {
  readonly well: () => boolean;
  readonly log: Log;
  readonly env?: Readonly<Record<string, string | undefined>>;
}): Notifier {
  const { well, log, env = process.env } = options;
  const socket = env.NOTIFY_SOCKET || null;
  const say = (...lines: string[]) => {
    if (socket === null) return;
    try {
      native().tellSystemd(socket, lines.join('\n'));
    } catch (error) {
      log.warn({ error: (error as Error).message }, 'systemd cannot be told');
    }
  };
  const beatMs = socket === null ? null : watchdogMs(env);
  const tellWell = () => {
    if (well()) say('WATCHDOG=1');
    else log.error({}, 'the engine is not well: the watchdog is not kept quiet');
  };
  const beat = beatMs === null ? null : setInterval(tellWell, beatMs);
  return {
    ready: (status) => say('READY=1', statusLine(status)),
    reloading: () => say('RELOADING=1', `MONOTONIC_USEC=${native().clocks().monotonic / 1000n}`),
    stopping: () => say('STOPPING=1'),
    status: (text) => say(statusLine(text)),
    close: () => {
      if (beat) clearInterval(beat);
    },
  };
}

const LONGEST_STATUS = 1024;

/** A line break would begin another assignment. */
function statusLine(text: string): string {
  return `STATUS=${text.replace(/\p{Cc}/gu, ' ').slice(0, LONGEST_STATUS)}`;
}

/** Half of WATCHDOG_USEC, if it is meant for this process; null without a watchdog. */
function watchdogMs({
  WATCHDOG_USEC: usec = '',
  WATCHDOG_PID: pid,
}: Readonly<Record<string, string | undefined>>): number | null {
  if (!/^[1-9]\d{0,12}$/.test(usec) || (pid !== undefined && pid !== `${process.pid}`)) return null;
  return Math.min(Math.max(Math.floor(Number(usec) / 2000), 1), 2 ** 31 - 1);
}
