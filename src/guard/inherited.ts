import { readFileSync, readlinkSync } from 'node:fs';
import type { SocketInfo } from '../kernel/binding.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { native, processes } from '../kernel/native.ts';
import { descriptorsOf } from './descriptors.ts';

/** A socket the command is started with, which no hook of the run will see. */
export interface InheritedSocket {
  readonly fd: number;
  /** It can carry calls of the command's own to the outside. */
  readonly outbound: boolean;
  readonly description: string;
}

const MOST_NAMED = 10;
/** Who asks must not hold up others by what it has open. */
const MOST_DESCRIPTORS = 16_384;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_PACKET = 17;
const SOCK_STREAM = 1;

/** The network sockets among descriptors to be inherited. Listening and accepted ones are not outbound. */
export function inheritedSockets(fds: readonly number[]): InheritedSocket[] {
  return fds.flatMap((fd) => networkSocket(fd, processes().socketInfo(fd)));
}

/** The network sockets that another process has open, by the kernel's word; none of one that has ended. */
export function heldSockets(pid: number): InheritedSocket[] {
  const descriptors = descriptorsOf(pid, MOST_DESCRIPTORS);
  const sockets = descriptors.filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`));
  const known = sockets.flatMap((fd) => networkSocket(fd, native().socketInfoIn(pid, fd)));
  if (descriptors.length < MOST_DESCRIPTORS) return known;
  const description = `what is beyond the ${MOST_DESCRIPTORS} descriptors that are looked at`;
  return [...known, { fd: MOST_DESCRIPTORS, outbound: true, description }];
}

/** Why a command with these sockets is not guarded in enforce mode. */
export function inheritedSocket(outbound: readonly InheritedSocket[]): SetupFailure {
  const all = outbound.slice(0, MOST_NAMED).map(({ description }) => description);
  const more = outbound.length > all.length ? [`and ${outbound.length - all.length} more`] : [];
  return new SetupFailure(
    'inherited-socket',
    `the command would inherit a socket that cannot be guarded: ${[...all, ...more].join('; ')}`,
    'close it before, or accept it with --allow-inherited',
  );
}

function networkSocket(fd: number, info: SocketInfo | null): InheritedSocket[] {
  if (!info || ![AF_INET, AF_INET6, AF_PACKET].includes(info.domain)) return [];
  return [{ fd, outbound: isOutbound(info), description: describe(fd, info) }];
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('socket:');
  } catch {
    return false;
  }
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
