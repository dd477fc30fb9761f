import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Address } from '../model/address.ts';

/**
 * A change of what a run knows of addresses. `fact`: the number it has from then on; 0: the one it had, or none.
 * `end` as in Lease, null: never.
 */
export type FactChange =
  | { readonly do: 'add'; address: Address; fact: number; chains: readonly string[]; end: number | null }
  | { readonly do: 'drop'; address: Address; fact: number; chains: readonly string[] }
  /**
   * One that is out of force since `at` (CLOCK_MONOTONIC milliseconds) and may still be meant by a record: the first
   * `count` chains of an address, or, where the address has others by now, these.
   */
  | {
      readonly do: 'past';
      fact: number;
      at: number;
      address: Address | null;
      count: number;
      chains: readonly string[];
    };

/** A file is written anew when it has this much more than then, and four times as much. */
const SLACK_BYTES = 256 << 10;

/**
 * What a run knows of addresses, on file beside its entry, so that whoever takes the run over knows it too: the kernel's
 * tables have the numbers alone. In memory (/run): it need not outlive the host, and the run does not.
 */
export class FactFile {
  readonly #path: string;
  #fd: number;
  #size = 0;
  #base = 0;

  constructor(path: string) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#fd = openSync(path, 'a', 0o600);
  }

  /** Puts a change on file. True: it is time to write it anew. */
  put(change: FactChange): boolean {
    const line = `${JSON.stringify(change)}\n`;
    writeSync(this.#fd, line);
    this.#size += line.length;
    return this.#size > SLACK_BYTES + 4 * this.#base;
  }

  /** Writes it anew, whole or not at all. */
  rewrite(changes: Iterable<FactChange>): void {
    const beside = `${this.#path}.new`;
    const text = [...changes].map((change) => `${JSON.stringify(change)}\n`).join('');
    const fd = openSync(beside, 'w', 0o600);
    try {
      writeSync(fd, text);
      renameSync(beside, this.#path);
    } catch (error) {
      closeSync(fd);
      rmSync(beside, { force: true });
      throw error;
    }
    closeSync(this.#fd);
    this.#fd = fd;
    this.#base = text.length;
    this.#size = text.length;
  }

  /** The run is over. */
  remove(): void {
    this.close();
    rmSync(this.#path, { force: true });
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** What is on file, oldest first; a line that was just being written is none. */
export function readFacts(path: string): FactChange[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const end = text.lastIndexOf('\n') + 1;
  return text
    .slice(0, end)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as FactChange);
}
