/** A UDP message that came to a socket of a set. */
export interface Datagram {
  /** The number of its socket. */
  readonly socket: number;
  readonly payload: Buffer;
  /** Who sent it, in canonical text; empty, with port 0, on a connected socket. */
  readonly address: string;
  readonly port: number;
}

export interface DatagramHandlers {
  message(datagram: Datagram): void;
  /** A socket could not send, or its peer is known to be unreachable; `code` is the errno, as `ECONNREFUSED`. */
  failed(socket: number, code: string): void;
}

/**
 * UDP sockets that are read and written a batch at a time. Sockets have numbers, never used again. What is sent
 * in one turn of the event loop leaves at its end.
 */
export interface Datagrams {
  /** Binds an address as text; port 0 is any. Throws an Error with an errno as `code`. */
  bind(address: string, port: number): { readonly socket: number; readonly port: number };
  /** Takes over a socket that is bound already. Throws as `bind`. */
  adopt(fd: number): { readonly socket: number; readonly port: number };
  /** A socket on a port of the kernel's random choice that hears this peer only. Throws as `bind`. */
  connect(address: string, port: number): number;
  /** From a connected socket to its peer. */
  send(socket: number, payload: Uint8Array): void;
  /** To the sender of a datagram, from the socket it came to. */
  reply(to: Datagram, payload: Uint8Array): void;
  /** Sends what waits and closes the socket; what comes to it later is not heard. */
  remove(socket: number): void;
  /** Messages the kernel dropped since `bind` because nobody read them in time. */
  dropped(socket: number): number;
  close(): void;
}

export type OpenDatagrams = (handlers: DatagramHandlers) => Datagrams;
