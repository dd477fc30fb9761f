import type { Socket, Server as TcpServer } from 'node:net';
import { parseAddress } from '../model/address.ts';
import type { Datagram, Datagrams, OpenDatagrams } from '../model/datagrams.ts';
import { type Bound, bindLoopback, closeListener, type HeldListener, takeHeld } from './bind.ts';
import { type Desk, decide } from './decide.ts';
import type { Server } from './exchange.ts';
import type { Peer, ProxyCounters, ProxyHooks, Requester } from './hooks.ts';
import { Quota } from './quota.ts';
import { serveConnection } from './session.ts';
import { DnsSetupError } from './setup-error.ts';
import type { Patience } from './upstream.ts';
import { Upstreams } from './upstreams.ts';

export interface ProxyOptions {
  /** Loopback addresses; those this host does not have (`::1` without IPv6) are left out. */
  readonly addresses: readonly string[];
  /** The same on UDP and TCP and on all addresses; 0 or absent: one that is free. */
  readonly port?: number;
  /**
   * Sockets somebody else bound, and holds while this process is away: they are listened on in place of the addresses,
   * and what waits in them is answered.
   */
  readonly held?: readonly HeldListener[];
  /** Asked in this order for runs that name none. */
  readonly servers: readonly Server[];
  readonly hooks: ProxyHooks;
  readonly openDatagrams: OpenDatagrams;
  readonly patience?: Patience;
}

/** A running proxy. */
export interface Proxy {
  readonly port: number;
  /** Those bound. */
  readonly addresses: readonly string[];
  readonly counters: Readonly<ProxyCounters>;
  /** Throws DnsSetupError when these cannot be asked: there is none, or it is the proxy. */
  check(servers: readonly Server[]): void;
  close(): Promise<void>;
}

/** Clients give up after five seconds; a busy host takes its share of them. */
export const PATIENCE: Patience = { timeoutMs: 1200, budgetMs: 4000, tryEveryMs: 10_000 };
const MAX_LOOKUPS = { total: 512, perRun: 256 };
const MAX_CONNECTIONS = { total: 256, perRun: 128 };

/**
 * Starts the DNS proxy of guarded runs on loopback, UDP and TCP. Throws DnsSetupError when it cannot listen or
 * would ask itself.
 */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { hooks, servers } = options;
  refuseNone(servers);
  const counters: ProxyCounters = { ...NOTHING_COUNTED };
  const upstreams = new Upstreams(options.patience ?? PATIENCE, options.openDatagrams);
  const inFlight = new Quota(MAX_LOOKUPS.total, MAX_LOOKUPS.perRun);
  const upstreamOf = (requester: Requester) => upstreams.of(requester.servers ?? servers);
  const desk: Desk = { hooks, upstreamOf, inFlight, counters };
  const sessions = new Set<Socket>();
  const closing = new AbortController();
  const places = new Quota(MAX_CONNECTIONS.total, MAX_CONNECTIONS.perRun);
  let datagrams: Datagrams | null = null;
  let bound: Bound = { port: 0, listeners: [] };
  const close = async (): Promise<void> => {
    closing.abort();
    upstreams.close();
    for (const socket of sessions) socket.destroy();
    await Promise.all(bound.listeners.map((listener) => closeListener(datagrams, listener)));
    datagrams?.close();
  };
  try {
    const set = options.openDatagrams({
      message: (datagram) => void answerDatagram(datagram, { desk, datagrams: set, closing: closing.signal }),
      failed: () => {
        counters.unsent += 1;
      },
    });
    datagrams = set;
    bound = options.held
      ? await takeHeld(set, options.held)
      : await bindLoopback(set, options.addresses, options.port ?? 0);
    refuseOwn(servers, bound);
    for (const { tcp } of bound.listeners) serveListener(tcp, { desk, sessions, places });
    return {
      port: bound.port,
      addresses: bound.listeners.map((listener) => listener.address),
      get counters() {
        if (!closing.signal.aborted) counters.unread = unread(set, bound);
        return counters;
      },
      check(others) {
        refuseNone(others);
        refuseOwn(others, bound);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const NOTHING_COUNTED: Readonly<ProxyCounters> = {
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
  unread: 0,
  internal: 0,
};

function unread(datagrams: Datagrams, { listeners }: Bound): number {
  return listeners.reduce((total, { socket }) => total + datagrams.dropped(socket), 0);
}

function serveListener(tcp: TcpServer, serving: { desk: Desk; sessions: Set<Socket>; places: Quota }): void {
  tcp.on('error', () => {
    serving.desk.counters.connectionsClosed += 1;
  });
  tcp.on('connection', (socket) => serveTcp(socket, serving));
}

async function answerDatagram(
  datagram: Datagram,
  { desk, datagrams, closing }: { desk: Desk; datagrams: Datagrams; closing: AbortSignal },
): Promise<void> {
  const { address, port, payload: packet } = datagram;
  const requester = identify({ transport: 'udp', address, port }, desk);
  if (requester === null) return;
  const bytes = await decide({ requester, transport: 'udp', packet }, desk);
  if (bytes !== null && !closing.aborted) datagrams.reply(datagram, bytes);
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

function refuseNone(servers: readonly Server[]): void {
  if (servers.length > 0) return;
  throw new DnsSetupError('dns-no-server', 'no DNS server to ask: name one in the policy or in resolv.conf');
}

function refuseOwn(servers: readonly Server[], bound: Bound): void {
  const own = servers.find((server) => isOwn(server, bound));
  if (own === undefined) return;
  throw new DnsSetupError('dns-own-server', `the DNS proxy would ask itself at ${own.address}:${own.port}`);
}

function isOwn(server: Server, bound: Bound): boolean {
  const canonical = parseAddress(server.address);
  const address = canonical === '0.0.0.0' ? '127.0.0.1' : canonical === '::' ? '::1' : canonical;
  return server.port === bound.port && bound.listeners.some((listener) => listener.address === address);
}
