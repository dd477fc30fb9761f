import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { native } from '../kernel/native.ts';
import { Access } from './access.ts';
import { BOUNDS, type Bounds } from './bounds.ts';
import type { EventStream } from './event-stream.ts';
import { DaemonFailure } from './failure.ts';
import { Gate, rawAnswer } from './gate.ts';
import { GROUP, groupId } from './group.ts';
import type { Host } from './host-interface.ts';
import type { Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { type MetricsAddress, serveMetrics } from './metrics-port.ts';
import { Rate } from './rate.ts';
import { createRoutes } from './routes.ts';
import { claimSocket, type SocketFile } from './socket-file.ts';

const HEARTBEAT_MS = 15_000;
/** How often Node looks for requests that take too long. */
const CHECK_MS = 2000;
/** How long answers in progress have when the server stops. */
const CLOSE_MS = 2000;
const AF_UNIX = 1;
const SOCK_STREAM = 1;

export interface ServerOptions {
  readonly host: Host;
  readonly log: Log;
  /** Where the socket is made; or the descriptor of one that systemd holds. */
  readonly listen: { readonly path: string } | { readonly fd: number };
  /** Whose members may connect; default `acyclic`. */
  readonly group?: string;
  /** Serves `/metrics` on loopback, too. */
  readonly metrics?: MetricsAddress | null;
  readonly bounds?: Bounds;
}

export interface ApiServer {
  /** Ends streams, waits for answers in progress, and takes the socket away. */
  close(): Promise<void>;
}

/** Serves the API of a host (docs/api.md). Resolves once it listens. Throws DaemonFailure. */
export async function startServer(options: ServerOptions): Promise<ApiServer> {
  const { host, log, listen, bounds = BOUNDS, group = GROUP } = options;
  const gid = groupId(group);
  if (gid === null) log.warn({ group }, 'there is no such group: root alone may use the daemon');
  const access = new Access(gid, host);
  const gate = new Gate({ access, bounds, log });
  const metrics = new Metrics(host);
  const streams = new Set<EventStream>();
  const routes = createRoutes({
    ...{ host, access, gate, bounds, metrics, log, streams },
    rate: new Rate(bounds),
  });
  const serve = getRequestListener(routes.fetch, { hostname: 'acyclic', overrideGlobalObjects: false });
  const server = makeServer(serve, gate, bounds);
  const file = 'path' in listen ? await claimSocket(listen.path, gid) : null;
  let port: Server | null = null;
  try {
    if (options.metrics) port = await serveMetrics(options.metrics, metrics);
    await bind(server, file, listen);
    // Of accepting, when descriptors run out: the next one may do.
    server.on('error', ({ message }) => log.error({ error: message }, 'a connection cannot be accepted'));
  } catch (error) {
    port?.close();
    server.close();
    file?.remove();
    throw error;
  }
  const beat = setInterval(() => {
    for (const stream of streams) stream.beat();
  }, HEARTBEAT_MS);
  return {
    async close() {
      clearInterval(beat);
      file?.remove();
      for (const stream of streams) stream.end();
      port?.close();
      port?.closeAllConnections();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
      await closed;
      clearTimeout(late);
    },
  };
}

function makeServer(serve: ReturnType<typeof getRequestListener>, gate: Gate, bounds: Bounds): Server {
  const server = createServer(
    { maxHeaderSize: bounds.head, connectionsCheckingInterval: CHECK_MS, requireHostHeader: false },
    (incoming, outgoing) => void serve(incoming, outgoing),
  );
  server.headersTimeout = bounds.headMs;
  server.requestTimeout = bounds.requestMs;
  server.keepAliveTimeout = bounds.keepAliveMs;
  server.maxRequestsPerSocket = bounds.requestsOfConnection;
  server.timeout = bounds.idleMs;
  // Node's own listener is given what the gate lets through.
  const [serveConnection] = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (gate.admit(socket)) serveConnection?.call(server, socket);
  });
  server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => {
    if (!socket.writable) return socket.destroy();
    const text =
      code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? rawAnswer(408, 'slow', 'the request took too long to come')
        : rawAnswer(400, 'bad-request', 'that is no request of HTTP, or its head is too large');
    socket.end(text, () => socket.destroy());
  });
  return server;
}

async function bind(server: Server, file: SocketFile | null, listen: ServerOptions['listen']): Promise<void> {
  if ('fd' in listen) checkActivated(listen.fd);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(error)));
    server.listen(file ? { path: file.bindAt } : listen, resolve);
  });
  file?.publish();
}

function checkActivated(fd: number): void {
  const info = native().socketInfo(fd);
  if (info?.domain === AF_UNIX && info.type === SOCK_STREAM && info.listening) return;
  throw new DaemonFailure(
    'socket',
    `descriptor ${fd}, which systemd passed as the control socket, is no UNIX socket that listens`,
    'see ListenStream= of the socket unit',
  );
}

function cannotListen(error: Error): DaemonFailure {
  const remedy = 'name another socket with --socket';
  return new DaemonFailure('socket', `the socket cannot be made: ${error.message}`, remedy, { cause: error });
}
