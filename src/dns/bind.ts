import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server as TcpServer } from 'node:net';
import { parseAddress } from '../model/address.ts';
import { DnsSetupError } from './setup-error.ts';

/** One address, UDP and TCP on the same port. */
export interface Listener {
  readonly address: string;
  readonly udp: Socket;
  readonly tcp: TcpServer;
}

export interface Bound {
  readonly port: number;
  readonly listeners: readonly Listener[];
}

const PORT_TRIES = 16;
/** What the kernel says where the address, or all of IPv6, is missing. */
const ABSENT: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);
const UDP_RECEIVE_BYTES = 1 << 20;

/**
 * Binds every address on one port, UDP and TCP; port 0 picks a port free on all. An address this host does not
 * have is left out, unless it is the only one. Nothing but loopback is ever bound.
 */
export async function bindLoopback(addresses: readonly string[], port: number): Promise<Bound> {
  for (const address of addresses) {
    if (!isLoopback(address)) {
      const text = `${address} is no loopback address: the DNS proxy answers this host only`;
      throw new DnsSetupError('dns-not-loopback', text);
    }
  }
  for (let tries = 1; ; tries++) {
    const listeners: Listener[] = [];
    try {
      for (const address of addresses) {
        const listener = await bindOne(address, listeners[0]?.udp.address().port ?? port);
        if (listener !== null) listeners.push(listener);
      }
    } catch (error) {
      await Promise.all(listeners.map(closeListener));
      const code = errorCode(error);
      if (code === 'EADDRINUSE' && port === 0 && tries < PORT_TRIES) continue;
      throw new DnsSetupError('dns-bind', `the DNS proxy cannot listen on ${addresses.join(', ')}: ${code}`);
    }
    const [first] = listeners;
    if (first !== undefined) return { port: first.udp.address().port, listeners };
    throw new DnsSetupError('dns-bind', `this host has none of ${addresses.join(', ')} for the DNS proxy`);
  }
}

/** Stops listening; resolves when both sockets are closed. TCP connections are the caller's to end. */
export async function closeListener({ udp, tcp }: Listener): Promise<void> {
  const closed = [once(udp, 'close'), once(tcp, 'close')];
  udp.close();
  tcp.close();
  await Promise.all(closed);
}

async function bindOne(address: string, port: number): Promise<Listener | null> {
  const type = address.includes(':') ? 'udp6' : 'udp4';
  const udp = createSocket({ type, ipv6Only: type === 'udp6', recvBufferSize: UDP_RECEIVE_BYTES });
  try {
    udp.bind({ address, port });
    await once(udp, 'listening');
  } catch (error) {
    udp.close();
    if (ABSENT.has(errorCode(error))) return null;
    throw error;
  }
  // Half open: a client may end its side right after its last question (RFC 7766 §6.2.4).
  const tcp = createServer({ allowHalfOpen: true, noDelay: true });
  try {
    tcp.listen({ host: address, port: udp.address().port, ipv6Only: type === 'udp6' });
    await once(tcp, 'listening');
  } catch (error) {
    udp.close();
    throw error;
  }
  return { address, udp, tcp };
}

function isLoopback(address: string): boolean {
  const canonical = parseAddress(address);
  return canonical === '::1' || (canonical?.startsWith('127.') ?? false);
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
