import { once } from 'node:events';
import net from 'node:net';
import type { Recorder, Server } from './world.ts';

/** `address:port` of the caller, IPv6 in brackets. */
export function sourceOf(peer: { address?: string | undefined; port?: number | undefined }): string {
  const address = peer.address ?? '?';
  return `${address.includes(':') ? `[${address}]` : address}:${peer.port ?? 0}`;
}

/**
 * Listens on one port of each address, records every connection accepted, and closes connections with the
 * server. `make` gives a fresh `net.Server` (or https.Server: its raw connections are what is recorded).
 */
export async function listenTcp(
  name: string,
  addresses: readonly string[],
  port: number,
  record: Recorder,
  make: () => net.Server,
): Promise<Server> {
  const sockets = new Set<net.Socket>();
  const servers = addresses.map((address) => {
    const server = make();
    server.on('connection', (socket: net.Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      const source = sourceOf({ address: socket.remoteAddress, port: socket.remotePort });
      record({ kind: 'connection', protocol: 'tcp', address, port, source, detail: null });
    });
    server.listen({ host: address, port, ipv6Only: true });
    return server;
  });
  await Promise.all(servers.map((server) => once(server, 'listening')));
  return {
    name,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

/** A server of plain TCP connections. */
export function listenPlain(
  name: string,
  addresses: readonly string[],
  port: number,
  record: Recorder,
  handle: (socket: net.Socket) => void,
): Promise<Server> {
  return listenTcp(name, addresses, port, record, () => net.createServer(handle));
}
