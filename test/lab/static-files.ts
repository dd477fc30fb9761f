import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import type { WebHandler } from '../../src/demo/web.ts';

/**
 * Serves the files below `root/HOST`, a folder by its `index.json`. `/` of any host is a greeting; `POST` anywhere
 * is answered with its own body; what is not there is 404.
 */
export function staticFiles(root: string): WebHandler {
  return (request, response) => {
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    const pathname = decodeURIComponent(new URL(request.url ?? '/', 'http://lab').pathname);
    if (request.method === 'POST') request.pipe(response);
    else if (pathname === '/') response.end(`hello from ${host}\n`);
    else void sendFile(root, path.join(root, host, path.posix.normalize(pathname)), response);
  };
}

async function sendFile(root: string, wanted: string, response: ServerResponse): Promise<void> {
  const found = await fileAt(wanted);
  if (!found?.startsWith(`${root}/`)) {
    response.writeHead(404);
    response.end('not found\n');
    return;
  }
  createReadStream(found)
    .on('error', () => response.destroy())
    .pipe(response);
}

async function fileAt(wanted: string): Promise<string | null> {
  const status = await stat(wanted).catch(() => null);
  if (status?.isFile()) return wanted;
  return status?.isDirectory() ? fileAt(path.join(wanted, 'index.json')) : null;
}
