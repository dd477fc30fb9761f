import { lstatSync, mkdirSync, rmSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type PolicyFile, policyFilesIn } from '../guard/policy-texts.ts';
import { readIfPresent, syncDirectory, writeDurably } from './state-file.ts';

/** A file of a policy by its place in it. */
export interface PolicyText {
  readonly path: string;
  readonly text: string;
}

/** Where an administrator keeps the policy: a directory, or one file. */
export class PolicyDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** A single file in place of a directory. */
  get isFile(): boolean {
    return statIfThere(this.path)?.isFile() ?? /\.ya?ml$/.test(this.path);
  }

  /** The directories whose entries tell of a change. */
  get watched(): string[] {
    const parent = dirname(this.path);
    const own = [this.path, join(this.path, 'services'), join(this.path, 'deployments')];
    return this.isFile ? [parent] : [parent, ...own];
  }

  /** The policy's files as they would be there. */
  placed(texts: readonly PolicyText[]): PolicyFile[] {
    return texts.map(({ path: name, text }) => ({ file: this.#place(name), name, text }));
  }

  /** What is there, whether it loads or not. Throws as node:fs does. */
  read(): PolicyText[] {
    return this.#files().flatMap(({ file, name }) => {
      const text = readIfPresent(file);
      return text === null ? [] : [{ path: name, text }];
    });
  }

  /** What tells two states of it apart without reading its files. */
  signature(): string {
    const parts = this.#files().map(({ file }) => {
      const found = statIfThere(file);
      return found && `${file} ${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
    });
    return parts.join('\n');
  }

  /** Writes these files and removes every other one of the policy. Each is whole at any moment; all are on disk then. */
  install(texts: readonly PolicyText[]): void {
    const folders = new Set(texts.map(({ path }) => dirname(this.#place(path))));
    for (const folder of folders) mkdirSync(folder, { recursive: true, mode: 0o755 });
    for (const { path, text } of texts) {
      const file = this.#place(path);
      if (readIfPresent(file) !== text) writeDurably(file, text, (statIfThere(file)?.mode ?? 0o644) & 0o777);
    }
    const kept = new Set(texts.map(({ path }) => this.#place(path)));
    for (const { file } of this.#files()) {
      if (kept.has(file)) continue;
      rmSync(file);
      syncDirectory(dirname(file));
    }
  }

  #place(name: string): string {
    return this.isFile ? this.path : join(this.path, name);
  }

  #files(): { file: string; name: string }[] {
    if (!this.isFile) return policyFilesIn(this.path);
    return lstatSync(this.path, { throwIfNoEntry: false })
      ? [{ file: this.path, name: basename(this.path) }]
      : [];
  }
}

function statIfThere(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null;
}
