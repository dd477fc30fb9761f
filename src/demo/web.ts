import http from 'node:http';
import https from 'node:https';
import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Certificate } from './certificate.ts';
import { listenTcp, sourceOf } from './listen.ts';
import type { Recorder, Server } from './world.ts';

export type WebHandler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

export interface WebOptions {
  readonly name: string;
  readonly addresses: readonly string[];
  /** Null for plain HTTP. */
  readonly certificate: Certificate | null;
  readonly port: number;
  readonly handle: WebHandler;
}

/** An HTTP or HTTPS server that records each request beside each connection. */
export function listenWeb(options: WebOptions, record: Recorder): Promise<Server> {
  const { name, addresses, certificate, port } = options;
  const handle: WebHandler = (request, response) => {
    const socket = request.socket as net.Socket & Partial<TLSSocket>;
    const scheme = certificate ? 'https' : 'http';
    record({
      kind: 'request',
      protocol: 'tcp',
      address: socket.localAddress ?? '?',
      port,
      source: sourceOf({ address: socket.remoteAddress, port: socket.remotePort }),
      detail: `${request.method} ${scheme}://${request.headers.host ?? '?'}${request.url}`,
    });
    options.handle(request, response);
  };
  return listenTcp(name, addresses, port, record, () =>
    certificate
      ? https.createServer({ cert: certificate.cert, key: certificate.key }, handle)
      : http.createServer(handle),
  );
}
