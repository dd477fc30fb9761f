import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK = 1 << 16;

/** The text of a file, whatever it is; of one over `most` bytes a beginning that is over it. Throws as node:fs does. */
export function readBounded(file: string, most: number): string {
  const chunks: Buffer[] = [];
  const fd = openSync(file, 'r');
  try {
    for (let size = 0; size <= most; ) {
      const chunk = Buffer.alloc(CHUNK);
      const got = readSync(fd, chunk);
      if (got === 0) break;
      chunks.push(chunk.subarray(0, got));
      size += got;
    }
  } finally {
    closeSync(fd);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Why a file cannot be read, in plain words. */
export function readingFault(error: NodeJS.ErrnoException): string {
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of its path is not a directory',
    ELOOP: 'its links lead in a circle',
  };
  return reasons[error.code ?? ''] ?? error.message;
}
