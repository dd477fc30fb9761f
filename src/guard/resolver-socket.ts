import { connect } from 'node:net';
import { endianness } from 'node:os';

const PATIENCE_MS = 1000;

/** nscd's own protocol, version 2 (nscd-client.h of glibc): a request is three 32-bit words and a key. */
const NSCD_VERSION = 2;
const GETHOSTBYNAME = 4;
const NSCD_KEY = Buffer.from('localhost\0');
/** In place of `found`: this table is not served, ask elsewhere. */
const NOT_SERVED = -1;

/**
 * The first of these UNIX sockets that somebody listens on, or null. Asked by connecting, since /proc/net/unix lists
 * only what was bound in one's own network namespace, and a path leads out of it.
 */
export async function firstListening(paths: readonly string[]): Promise<string | null> {
  for (const path of paths) if ((await exchange(path, null)) !== null) return path;
  return null;
}

/** Whether nscd answers for hosts. It says no where `enable-cache hosts no` is in force; silence means yes. */
export async function nscdServesHosts(path: string): Promise<boolean> {
  const little = endianness() === 'LE';
  const request = Buffer.alloc(12 + NSCD_KEY.length);
  for (const [i, word] of [NSCD_VERSION, GETHOSTBYNAME, NSCD_KEY.length].entries())
    little ? request.writeInt32LE(word, 4 * i) : request.writeInt32BE(word, 4 * i);
  NSCD_KEY.copy(request, 12);
  const reply = await exchange(path, request);
  if (reply === null || reply.length < 8) return true;
  return (little ? reply.readInt32LE(4) : reply.readInt32BE(4)) !== NOT_SERVED;
}

/** The first bytes a listener answers with; empty where it was not asked or does not answer. Null: nobody listens. */
function exchange(path: string, request: Buffer | null): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const finish = (result: Buffer | null): void => {
      resolve(result);
      socket.destroy();
    };
    socket.setTimeout(PATIENCE_MS, () => finish(Buffer.alloc(0)));
    // A listener with a full queue is one all the same.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      finish(error.code === 'EAGAIN' || error.code === 'EPIPE' ? Buffer.alloc(0) : null),
    );
    socket.on('connect', () => (request === null ? finish(Buffer.alloc(0)) : socket.write(request)));
    socket.on('data', finish);
    socket.on('end', () => finish(Buffer.alloc(0)));
  });
}
