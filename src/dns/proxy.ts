import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { parseAddress } from '../model/address.ts';
import { type Bound, bindLoopback, closeListener } from './bind.ts';
import { type Desk, decide } from './decide.ts';
import type { Server } from './exchange.ts';
import type { Peer, ProxyCounters, ProxyHooks, Requester } from './hooks.ts';
import { Quota } from './quota.ts';
import { serveConnection } from './session.ts';
import { DnsSetupError } from './setup-error.ts';
import { Upstream } from './upstream.ts';

export interface ProxyOptions {
  /** Loopback addresses; those this host does not have (`::1` without IPv6) are left out. */
  readonly addresses: readonly string[];
  /** The same on UDP and TCP and on all addresses; 0 or absent: one that is free. */
  readonly port?: number;
  /** Asked in this order. */
  readonly servers: readonly Server[];
  readonly hooks: ProxyHooks;
  /** How long each server is waited for. */
  readonly timeoutMs?: number;
}

/** A running proxy. */
export interface Proxy {
  readonly port: number;
  /** Those bound. */
  readonly addresses: readonly string[];
  readonly counters: Readonly<ProxyCounters>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 1200;
const MAX_LOOKUPS = { total: 512, perRun: 256 };
const MAX_CONNECTIONS = { total: 256, perRun: 128 };

/**
 * Starts the DNS proxy of guarded runs on loopback, UDP and TCP. Throws DnsSetupError when it cannot listen or
 * would ask itself.
 */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { hooks, servers } = options;
  if (servers.length === 0) {
    throw new DnsSetupError(
      'dns-no-server',
      'no DNS server to ask: name one in the policy or in resolv.conf',
    );
  }
  const bound = await bindLoopback(options.addresses, options.port ?? 0);
  const own = servers.find((server) => isOwn(server, bound));
  if (own !== undefined) {
    await Promise.all(bound.listeners.map(closeListener));
    throw new DnsSetupError('dns-own-server', `the DNS proxy would ask itself at ${own.address}:${own.port}`);
  }
  const counters: ProxyCounters = {
    queries: 0,
    unidentified: 0,
    malformed: 0,
    denied: 0,
    forwarded: 0,
    unanswered: 0,
    overloaded: 0,
    unlearned: 0,
    truncated: 0,
    connectionsClosed: 0,
    unsent: 0,
    internal: 0,
  };
  const upstream = new Upstream(servers, options.timeoutMs ?? TIMEOUT_MS);
  const inFlight = new Quota(MAX_LOOKUPS.total, MAX_LOOKUPS.perRun);
  const desk: Desk = { hooks, upstream, inFlight, counters };
  const sessions = new Set<Socket>();
  const closing = new AbortController();
  const places = new Quota(MAX_CONNECTIONS.total, MAX_CONNECTIONS.perRun);
  for (const { udp, tcp } of bound.listeners) {
    serveUdp(udp, desk, closing.signal);
    tcp.on('error', () => {
      counters.connectionsClosed += 1;
    });
    tcp.on('connection', (socket) => serveTcp(socket, { desk, sessions, places }));
  }
  return {
    port: bound.port,
    addresses: bound.listeners.map((listener) => listener.address),
    counters,
    async close() {
      closing.abort();
      upstream.close();
      const closed = bound.listeners.map(closeListener);
      for (const socket of sessions) socket.destroy();
      await Promise.all(closed);
    },
  };
}

function serveUdp(udp: UdpSocket, desk: Desk, closing: AbortSignal): void {
  udp.on('error', () => {
    desk.counters.unsent += 1;
  });
  udp.on('message', async (packet, { address, port }) => {
    const requester = identify({ transport: 'udp', address, port }, desk);
    if (requester === null) return;
    const bytes = await decide({ requester, transport: 'udp', packet }, desk);
    if (bytes === null || closing.aborted) return;
    udp.send(bytes, port, address, (error) => {
      if (error !== null) desk.counters.unsent += 1;
    });
  });
}

function serveTcp(
  socket: Socket,
  { desk, sessions, places }: { desk: Desk; sessions: Set<Socket>; places: Quota },
): void {
  const { counters } = desk;
  const { remoteAddress: address, remotePort: port } = socket;
  const known = address !== undefined && port !== undefined;
  const requester = known ? identify({ transport: 'tcp', address, port }, desk) : null;
  if (requester === null) {
    socket.destroy();
    return;
  }
  if (!places.enter(requester.run)) {
    counters.connectionsClosed += 1;
    socket.destroy();
    return;
  }
  sessions.add(socket);
  socket.on('close', () => {
    sessions.delete(socket);
    places.leave(requester.run);
  });
  const answer = (packet: Buffer): Promise<Uint8Array | null> =>
    decide({ requester, transport: 'tcp', packet }, desk);
  serveConnection(socket, answer, () => {
    counters.connectionsClosed += 1;
  });
}

/** Whose it is; null is nobody the proxy answers. A hook that throws identifies nobody. */
function identify(peer: Peer, { hooks, counters }: Desk): Requester | null {
  try {
    const requester = hooks.identify(peer);
    if (requester === null) counters.unidentified += 1;
    return requester;
  } catch {
    counters.internal += 1;
    return null;
  }
}

function isOwn(server: Server, bound: Bound): boolean {
  const canonical = parseAddress(server.address);
  const address = canonical === '0.0.0.0' ? '127.0.0.1' : canonical === '::' ? '::1' : canonical;
  return server.port === bound.port && bound.listeners.some((listener) => listener.address === address);
}
