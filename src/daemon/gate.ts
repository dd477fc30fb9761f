import { readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { native } from '../kernel/native.ts';
import type { Access } from './access.ts';
import type { Bounds } from './bounds.ts';
import type { ApiError, ApiErrorCode } from './contract.ts';
import type { Peer } from './host-interface.ts';
import type { Log } from './log.ts';
import { Refusal } from './refusal.ts';

/** How long a connection that is turned away has to read why, and how many may at a time. */
const TURN_AWAY_MS = 1000;
const MOST_TURNED_AWAY = 128;
/** Those turned away are told of in the log at most so often. */
const TELL_EVERY_MS = 1000;

/** Decides about connections before a byte of them is read: who they are of, and how many there may be. */
export class Gate {
  readonly #access: Access;
  readonly #bounds: Bounds;
  readonly #log: Log;
  readonly #peers = new WeakMap<Socket, Peer>();
  readonly #ofUser = new Map<number, number>();
  #open = 0;
  #turnedAway = 0;
  #untold = 0;
  #told = Number.NEGATIVE_INFINITY;

  constructor(options: { access: Access; bounds: Bounds; log: Log }) {
    this.#access = options.access;
    this.#bounds = options.bounds;
    this.#log = options.log;
  }

  /** False: it is turned away, and not to be served. */
  admit(socket: Socket): boolean {
    socket.on('error', () => socket.destroy());
    let peer: Peer;
    try {
      peer = native().peerCredentials(descriptorOf(socket));
    } catch {
      socket.destroy();
      return false;
    }
    if (!this.#access.isMember(peer))
      return this.#turnAway(socket, peer, 403, 'refused', 'you are not in the group that may use the daemon');
    const { connections, connectionsOfUser, connectionsOfRoot } = this.#bounds;
    const theirs = this.#ofUser.get(peer.uid) ?? 0;
    const full =
      peer.uid === 0
        ? this.#open >= connections
        : this.#open >= connections - connectionsOfRoot || theirs >= connectionsOfUser;
    if (full)
      return this.#turnAway(socket, peer, 503, 'busy', 'there are too many connections to the daemon');
    this.#peers.set(socket, peer);
    this.#open += 1;
    this.#ofUser.set(peer.uid, theirs + 1);
    socket.once('close', () => this.#leave(peer.uid));
    return true;
  }

  /** Who a connection that was admitted is of. */
  peerOf(socket: Socket): Peer {
    const peer = this.#peers.get(socket);
    if (!peer) throw new Refusal('refused', 'it is not known who asks');
    return peer;
  }

  /** Throws Refusal when the peer is no longer there: its pid may be another's. */
  checkPresent(socket: Socket): void {
    let pidfd: number | null = null;
    try {
      pidfd = native().peerPidfd(descriptorOf(socket));
      if (pidfd !== null) native().pidfdSendSignal(pidfd, 0);
      // Before Linux 6.5 the kernel does not say whether the pid is still that process; of another user it is not.
      else if (!isOfUser(this.peerOf(socket))) throw new Error('the pid is of another process');
    } catch {
      throw new Refusal('refused', 'who opened this connection is gone');
    } finally {
      if (pidfd !== null) native().closeFd(pidfd);
    }
  }

  #leave(uid: number): void {
    this.#open -= 1;
    const theirs = (this.#ofUser.get(uid) ?? 1) - 1;
    if (theirs === 0) this.#ofUser.delete(uid);
    else this.#ofUser.set(uid, theirs);
  }

  #turnAway(socket: Socket, { uid, pid }: Peer, status: number, code: ApiErrorCode, message: string): false {
    this.#tell({ uid, pid, code });
    if (this.#turnedAway >= MOST_TURNED_AWAY) {
      socket.destroy();
      return false;
    }
    this.#turnedAway += 1;
    const timer = setTimeout(() => socket.destroy(), TURN_AWAY_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#turnedAway -= 1;
    });
    socket.resume();
    socket.end(rawAnswer(status, code, message));
    return false;
  }

  #tell(who: { uid: number; pid: number; code: string }): void {
    this.#untold += 1;
    if (performance.now() - this.#told < TELL_EVERY_MS) return;
    this.#log.warn({ ...who, connections: this.#untold }, 'connections are turned away');
    this.#told = performance.now();
    this.#untold = 0;
  }
}

function isOfUser({ pid, uid }: Peer): boolean {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return new RegExp(`^Uid:\\t\\d+\\t${uid}\\t`, 'm').test(status);
}

/** An answer for who is not served by the router. */
export function rawAnswer(status: number, code: ApiErrorCode, message: string): string {
  const error: ApiError = { error: { code, message, remedy: null } };
  const body = JSON.stringify(error);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

/** Node has no public way to a socket's descriptor. */
function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1;
}
