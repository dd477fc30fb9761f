import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

/** The files of a package before it is packed, in a temporary directory; paths in it are relative to its root. */
export class Tree {
  readonly root = mkdtempSync(join(tmpdir(), 'acyclic-deb-'));
  readonly #sources: string;

  /** `sources`: where `copy` copies from. */
  constructor(sources: string) {
    this.#sources = sources;
    chmodSync(this.root, 0o755);
  }

  path(path: string): string {
    return join(this.root, path);
  }

  /** Makes a directory and those above it; the caller's umask has no say. */
  directory(path: string): void {
    const parts = path.split('/');
    for (let depth = 1; depth <= parts.length; depth++) {
      const directory = this.path(parts.slice(0, depth).join('/'));
      mkdirSync(directory, { recursive: true });
      chmodSync(directory, 0o755);
    }
  }

  copy(source: string, path: string, mode = 0o644): void {
    this.directory(dirname(path));
    copyFileSync(join(this.#sources, source), this.path(path));
    chmodSync(this.path(path), mode);
  }

  put(path: string, content: string | Buffer): void {
    this.directory(dirname(path));
    writeFileSync(this.path(path), content);
    chmodSync(this.path(path), 0o644);
  }

  link(target: string, path: string): void {
    this.directory(dirname(path));
    symlinkSync(target, this.path(path));
  }

  /** Plain files of the package itself, sorted. */
  files(): string[] {
    return this.#entries()
      .filter((entry) => entry.isFile())
      .map((entry) => relative(this.root, join(entry.parentPath, entry.name)))
      .filter((path) => !path.startsWith('DEBIAN/'))
      .sort();
  }

  /** As DEBIAN/md5sums has it. */
  md5sums(): string {
    return this.files()
      .map(
        (path) =>
          `${createHash('md5')
            .update(readFileSync(this.path(path)))
            .digest('hex')}  ${path}\n`,
      )
      .join('');
  }

  /** What it takes installed. */
  kibibytes(): number {
    return this.files().reduce((sum, path) => sum + Math.ceil(statSync(this.path(path)).size / 1024), 0);
  }

  /** Dates everything: seconds since 1970. */
  touch(seconds: number): void {
    for (const entry of this.#entries()) lutimesSync(join(entry.parentPath, entry.name), seconds, seconds);
    lutimesSync(this.root, seconds, seconds);
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
  }

  #entries() {
    return readdirSync(this.root, { recursive: true, withFileTypes: true });
  }
}
