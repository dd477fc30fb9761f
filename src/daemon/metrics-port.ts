import { createServer, type Server } from 'node:http';
import { isIP } from 'node:net';
import { DaemonFailure } from './failure.ts';
import type { Metrics } from './metrics.ts';

const MOST_CONNECTIONS = 16;
const REQUEST_MS = 5000;

/** Where `/metrics` is served, beside the socket. */
export interface MetricsAddress {
  readonly address: '127.0.0.1' | '::1';
  readonly port: number;
}

/** Reads `127.0.0.1:9464` or `[::1]:9464`. Throws DaemonFailure for anything that is not on loopback. */
export function readMetricsAddress(text: string): MetricsAddress {
  const [, v6, v4, digits] = /^(?:\[([0-9a-f:]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(text) ?? [];
  const address = v6 ?? v4 ?? '';
  const port = Number(digits);
  if ((address === '127.0.0.1' || address === '::1') && port >= 1 && port <= 65_535) return { address, port };
  throw new DaemonFailure(
    'metrics-address',
    isIP(address) === 0
      ? `metrics cannot be served at \`${text}\``
      : `metrics are served on loopback alone, not at \`${text}\``,
    'give 127.0.0.1:9464 or [::1]:9464',
  );
}

/** Serves `/metrics` to who scrapes it, and nothing else to anybody. Throws DaemonFailure. */
export async function serveMetrics({ address, port }: MetricsAddress, metrics: Metrics): Promise<Server> {
  const own = address === '::1' ? '[::1]' : address;
  const hosts = new Set([own, 'localhost'].flatMap((host) => [host, `${host}:${port}`]));
  const server = createServer((request, answer) => {
    // A page in a browser may have its own name lead here; what it then says is not our name.
    const ours = hosts.has(request.headers.host?.toLowerCase() ?? '');
    if (!ours || request.url !== '/metrics' || request.method !== 'GET') {
      answer.writeHead(ours ? 404 : 403, { Connection: 'close' }).end();
      return;
    }
    metrics.text().then(
      (text) => answer.writeHead(200, { 'Content-Type': metrics.contentType }).end(text),
      () => answer.writeHead(500).end(),
    );
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.requestTimeout = REQUEST_MS;
  server.headersTimeout = REQUEST_MS;
  server.timeout = REQUEST_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new DaemonFailure(
          'metrics-address',
          `metrics cannot be served at ${own}:${port}: ${error.message}`,
          'name another port with --metrics',
          { cause: error },
        ),
      ),
    );
    server.listen(port, address, resolve);
  });
  return server;
}
