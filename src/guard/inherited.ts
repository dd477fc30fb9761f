import { readFileSync } from 'node:fs';
import type { SocketInfo } from '../kernel/binding.ts';
import { processes } from '../kernel/native.ts';

/** A socket the command is started with, which no hook of the run will see. */
export interface InheritedSocket {
  readonly fd: number;
  /** It can carry calls of the command's own to the outside. */
  readonly outbound: boolean;
  readonly description: string;
}

const AF_INET = 2;
const AF_INET6 = 10;
const AF_PACKET = 17;
const SOCK_STREAM = 1;

/** The network sockets among descriptors to be inherited. Listening and accepted ones are not outbound. */
export function inheritedSockets(fds: readonly number[]): InheritedSocket[] {
  return fds.flatMap((fd) => {
    const info = processes().socketInfo(fd);
    if (!info || ![AF_INET, AF_INET6, AF_PACKET].includes(info.domain)) return [];
    return [{ fd, outbound: isOutbound(info), description: describe(fd, info) }];
  });
}

function isOutbound(info: SocketInfo): boolean {
  if (info.listening) return false;
  if (info.type !== SOCK_STREAM) return true;
  if (!info.peer || !info.local) return true;
  // A server's side of a connection keeps the service's port; a client's has an ephemeral one.
  const [low, high] = ephemeralPorts();
  return info.local.port >= low && info.local.port <= high;
}

function ephemeralPorts(): [number, number] {
  try {
    const [low, high] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
      .trim()
      .split(/\s+/)
      .map(Number);
    return [low ?? 0, high ?? 65535];
  } catch {
    return [0, 65535];
  }
}

function describe(fd: number, { domain, type, peer, listening }: SocketInfo): string {
  const family = domain === AF_PACKET ? 'packet' : domain === AF_INET6 ? 'IPv6' : 'IPv4';
  const kind = type === SOCK_STREAM ? 'TCP' : 'datagram';
  const state = listening ? 'listening' : peer ? `connected to port ${peer.port}` : 'unconnected';
  return `descriptor ${fd}: ${family} ${kind} socket, ${state}`;
}
