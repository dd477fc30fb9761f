import { once } from 'node:events';
import { createServer, type Server as TcpServer } from 'node:net';
import { parseAddress } from '../model/address.ts';
import type { Datagrams } from '../model/datagrams.ts';
import { DnsSetupError } from './setup-error.ts';

/** One address, UDP and TCP on the same port. */
export interface Listener {
  readonly address: string;
  /** In the set of datagrams it was bound in. */
  readonly socket: number;
  readonly tcp: TcpServer;
}

/** Descriptors of sockets that are bound to an address, the TCP one listening; the proxy's to close. */
export interface HeldListener {
  readonly address: string;
  readonly port: number;
  readonly udp: number;
  readonly tcp: number;
}

export interface Bound {
  readonly port: number;
  readonly listeners: readonly Listener[];
}

const PORT_TRIES = 16;
/** What the kernel says where the address, or all of IPv6, is missing. */
const ABSENT: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/**
 * Binds every address on one port, UDP and TCP; port 0 picks a port free on all. An address this host does not
 * have is left out, unless it is the only one. Nothing but loopback is ever bound.
 */
export async function bindLoopback(
  datagrams: Datagrams,
  addresses: readonly string[],
  port: number,
): Promise<Bound> {
  for (const address of addresses) refuseOutside(address);
  for (let tries = 1; ; tries++) {
    const listeners: Listener[] = [];
    let chosen = port;
    try {
      for (const address of addresses) {
        const one = await bindOne(datagrams, address, chosen);
        if (one === null) continue;
        listeners.push(one.listener);
        chosen = one.port;
      }
    } catch (error) {
      await Promise.all(listeners.map((listener) => closeListener(datagrams, listener)));
      const code = errorCode(error);
      if (code === 'EADDRINUSE' && port === 0 && tries < PORT_TRIES) continue;
      throw new DnsSetupError('dns-bind', `the DNS proxy cannot listen on ${addresses.join(', ')}: ${code}`);
    }
    if (listeners.length > 0) return { port: chosen, listeners };
    throw new DnsSetupError('dns-bind', `this host has none of ${addresses.join(', ')} for the DNS proxy`);
  }
}

/** Listens on sockets that are bound already: each on loopback, and all on one port. */
export async function takeHeld(datagrams: Datagrams, held: readonly HeldListener[]): Promise<Bound> {
  const [first] = held;
  if (!first || held.some(({ port }) => port !== first.port))
    throw new DnsSetupError('dns-bind', 'the sockets held for the DNS proxy are not all on one port');
  for (const { address } of held) refuseOutside(address);
  const listeners: Listener[] = [];
  for (const { address, udp, tcp: fd } of held) {
    const { socket } = datagrams.adopt(udp);
    const tcp = createServer({ allowHalfOpen: true, noDelay: true });
    tcp.listen({ fd });
    await once(tcp, 'listening');
    listeners.push({ address, socket, tcp });
  }
  return { port: first.port, listeners };
}

function refuseOutside(address: string): void {
  if (isLoopback(address)) return;
  const text = `${address} is no loopback address: the DNS proxy answers this host only`;
  throw new DnsSetupError('dns-not-loopback', text);
}

/** Stops listening; resolves when both sockets are closed. TCP connections are the caller's to end. */
export async function closeListener(datagrams: Datagrams | null, { socket, tcp }: Listener): Promise<void> {
  datagrams?.remove(socket);
  const closed = once(tcp, 'close');
  tcp.close();
  await closed;
}

async function bindOne(
  datagrams: Datagrams,
  address: string,
  wanted: number,
): Promise<{ listener: Listener; port: number } | null> {
  let bound: { socket: number; port: number };
  try {
    bound = datagrams.bind(address, wanted);
  } catch (error) {
    if (ABSENT.has(errorCode(error))) return null;
    throw error;
  }
  const { socket, port } = bound;
  // Half open: a client may end its side right after its last question (RFC 7766 §6.2.4).
  const tcp = createServer({ allowHalfOpen: true, noDelay: true });
  try {
    tcp.listen({ host: address, port, ipv6Only: address.includes(':') });
    await once(tcp, 'listening');
  } catch (error) {
    datagrams.remove(socket);
    throw error;
  }
  return { listener: { address, socket, tcp }, port };
}

function isLoopback(address: string): boolean {
  const canonical = parseAddress(address);
  return canonical === '::1' || (canonical?.startsWith('127.') ?? false);
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
