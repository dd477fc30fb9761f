import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { SetupFailure } from './failure.ts';

/** One thing a host has or has not. */
export interface Finding {
  readonly name: string;
  /** `missing`: a run cannot be guarded without it. `optional`: it can, with less. */
  readonly state: 'ok' | 'missing' | 'optional';
  readonly detail: string;
  /** What to do; null when nothing need be done. */
  readonly remedy: string | null;
}

interface Question {
  readonly name: string;
  /** Whether a run cannot be guarded without it. */
  readonly needed: boolean;
  /** The first kernel that has it; null: it is no matter of the kernel's version. */
  readonly minimum: string | null;
  /** How it is had; null where a SetupFailure says. */
  readonly remedy: string | null;
  /** What was found, tried out for real where that can be. Throws for what is not there. */
  readonly look: () => string | Promise<string>;
}

/** A feature of the host, looked at when first asked for and never again. It leaves nothing behind. */
export interface Probe {
  readonly name: string;
  readonly needed: boolean;
  readonly minimum: string | null;
  find(): Promise<Finding>;
}

export function probe({ name, needed, minimum, remedy, look }: Question): Probe {
  let found: Promise<Finding> | null = null;
  const find = async (): Promise<Finding> => {
    try {
      return { name, state: 'ok', detail: await look(), remedy: null };
    } catch (error) {
      const own = error instanceof SetupFailure ? error.remedy : null;
      const old = minimum !== null && isOlder(release(), minimum);
      const since = old ? ` (Linux ${minimum} or later has it)` : '';
      const detail = (error instanceof Error ? error.message : String(error)) + since;
      return { name, state: needed ? 'missing' : 'optional', detail, remedy: own ?? remedy };
    }
  };
  return {
    name,
    needed,
    minimum,
    find() {
      found ??= find();
      return found;
    },
  };
}

/** Whether a release, as uname(2) has it, is of a kernel before version `minimum`, as `6.1`. */
export function isOlder(kernel: string, minimum: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  const [leastMajor = 0, leastMinor = 0] = minimum.split('.').map(Number);
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}

/** The text of a file of /proc or /sys, trimmed; null where it is not there or may not be read. */
export function readWord(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
