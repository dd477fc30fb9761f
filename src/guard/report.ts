import { closeSync, constants, openSync, writeSync } from 'node:fs';

/**
 * Every event of a run as JSON Lines, the summary last. The file is made anew, never through a symbolic
 * link, readable by its owner alone.
 */
export class ReportFile {
  readonly path: string;
  #fd: number | null;
  /** Lines that could not be written; the run goes on. */
  lost = 0;
  /** Why the first was lost. */
  fault: string | null = null;

  constructor(path: string) {
    this.path = path;
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    this.#fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
  }

  write(object: object): void {
    if (this.#fd === null) return;
    const line = Buffer.from(`${JSON.stringify(object)}\n`);
    try {
      for (let at = 0; at < line.length; ) at += writeSync(this.#fd, line, at);
    } catch (error) {
      this.lost++;
      this.fault ??= (error as Error).message;
    }
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}
