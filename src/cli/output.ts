import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { styleText } from 'node:util';
import type { Environment } from './launch.ts';

/** What a message is for. `--quiet` leaves `denial` and `error`. */
export type Level = 'info' | 'denial' | 'warning' | 'error';

export interface OutputOptions {
  /** Leave out `info` and `warning`. */
  readonly quiet: boolean;
  /** Each message is one JSON object on one line. */
  readonly json: boolean;
  /** Where to; standard error unless a test says otherwise. */
  readonly fd?: number;
  readonly env?: Environment;
}

/** Where all of Acyclic's own words go. Standard output and input belong to the command. */
export interface Output {
  /** Widest line worth printing, in characters. */
  readonly width: number;
  /**
   * Says one message. In text the first line begins `acyclic:` and the rest is indented under it; what the caller
   * left out of that is added. In JSON it is `{"level":…,"message":…,…data}`, with `data` as given.
   */
  say(level: Level, lines: readonly string[], data?: object): void;
}

const PREFIX = 'acyclic:';
const INDENT = '  ';
const WIDEST = 200;
/** How long a reader who does not read is waited for, per message, before the message is dropped. */
const PATIENCE_MS = 2000;

export function createOutput(options: OutputOptions): Output {
  const { quiet, json, fd = 2, env = process.env } = options;
  const colour = !json && isatty(fd) && !env.NO_COLOR && env.TERM !== 'dumb';
  const columns = Number(env.COLUMNS);
  return {
    width: columns >= 40 && columns < WIDEST ? columns : WIDEST,
    say(level, lines, data) {
      if (lines.length === 0 || (quiet && (level === 'info' || level === 'warning'))) return;
      const clean = lines.map(harmless);
      const text = json ? jsonLine(level, clean, data) : clean.map(textLine(level, colour)).join('\n');
      writeAll(fd, `${text}\n`);
    },
  };
}

/**
 * Text that can do nothing to a terminal: control characters (so escape sequences too), line breaks, and the
 * Unicode marks that reorder or hide text are spelled out. For argv, names and paths, which anyone may choose.
 */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, spell);
}

function spell(character: string): string {
  const short = { '\n': '\\n', '\t': '\\t', '\r': '\\r' }[character];
  if (short) return short;
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`;
}

function textLine(level: Level, colour: boolean): (line: string, index: number) => string {
  return (line, index) => {
    if (index > 0) return line.startsWith(INDENT) ? line : INDENT + line;
    const rest = line.startsWith(PREFIX) ? line.slice(PREFIX.length) : ` ${line}`;
    if (!colour) return PREFIX + rest;
    return styleText(LEVEL_STYLE[level], PREFIX, { validateStream: false }) + rest;
  };
}

const LEVEL_STYLE: Readonly<Record<Level, Parameters<typeof styleText>[0]>> = {
  info: 'dim',
  denial: ['bold', 'red'],
  warning: 'yellow',
  error: ['bold', 'red'],
};

function jsonLine(level: Level, lines: readonly string[], data: object | undefined): string {
  const message = lines.join('\n').replace(/^acyclic: ?/, '');
  return JSON.stringify({ level, message, ...data });
}

/**
 * Writes by descriptor, and never through process.stderr: that would set O_NONBLOCK on a terminal the command
 * shares. If another process did so, a full terminal is waited for, for a while. A reader that is gone is no
 * reason to fail a run, so errors end the writing and nothing else.
 */
function writeAll(fd: number, text: string): void {
  let rest: Uint8Array = Buffer.from(text);
  const deadline = performance.now() + PATIENCE_MS;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EINTR') continue;
      if (code !== 'EAGAIN' || performance.now() > deadline) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** A command's result, on standard output. A reader that has seen enough (`| head`) is no fault. */
export function printResult(text: string): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.stdout.write(text.endsWith('\n') || text === '' ? text : `${text}\n`);
}

/** Every way the front door refuses. The guard has failures of its own. */
export type FailureCode =
  | 'usage'
  | 'no-command'
  | 'bad-value'
  | 'contradiction'
  | 'not-built'
  | 'unguarded'
  | 'script'
  | 'internal';

/** An end of the program that is told in one paragraph: what happened, and what to do next. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly code: FailureCode;
  /** What to do next; null when the message says it. */
  readonly remedy: string | null;
  /** Exit status; null for that of the command line it came from: 125 for `run`, otherwise 2. */
  readonly exit: number | null;

  constructor(code: FailureCode, message: string, remedy: string | null = null, exit: number | null = null) {
    super(message);
    this.code = code;
    this.remedy = remedy;
    this.exit = exit;
  }
}
