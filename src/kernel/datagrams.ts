import { constants } from 'node:os';
import { addressFromBytes } from '../model/address.ts';
import type { Datagram, DatagramHandlers, Datagrams } from '../model/datagrams.ts';
import type { DatagramSet } from './binding.ts';
import { native } from './native.ts';

/** Offsets of struct record (native/datagram.h). */
const RECORD = { length: 0, socket: 4, port: 8, family: 10, error: 12, address: 16, size: 32 } as const;
/** A batch is sent when it is this long, at the latest. Holds more than one datagram of any length. */
const OUTGOING_BYTES = 1 << 18;
/** What waits in the kernel and is not dropped: a burst of some thousand questions. */
const RECEIVE_BYTES = 1 << 21;

/** Of a batch longer than this each message is copied out: one that is held long must not hold megabytes. */
const SHARED_BYTES = 1 << 15;

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** A record of a batch; who sent it is read when somebody asks. */
class Received implements Datagram {
  readonly socket: number;
  readonly payload: Buffer;
  readonly #batch: Buffer;
  readonly #at: number;

  /** Keeps the batch in memory as long as it is held itself. */
  constructor(batch: Buffer, at: number, length: number) {
    this.#batch = batch;
    this.#at = at;
    this.socket = batch.readUInt32LE(at + RECORD.socket);
    this.payload = batch.subarray(at + RECORD.size, at + RECORD.size + length);
  }

  get address(): string {
    const from = this.#at + RECORD.address;
    const bytes = this.#batch;
    const family = bytes[this.#at + RECORD.family];
    if (family === 4) return `${bytes[from]}.${bytes[from + 1]}.${bytes[from + 2]}.${bytes[from + 3]}`;
    return family === 6 ? addressFromBytes(bytes.subarray(from, from + 16)) : '';
  }

  get port(): number {
    return this.#batch.readUInt16LE(this.#at + RECORD.port);
  }

  /** Writes the head of an answer to whoever sent this. */
  writeHead(out: Buffer, at: number): void {
    this.#batch.copy(out, at, this.#at, this.#at + RECORD.size);
  }
}

function received(batch: Buffer, at: number, length: number): Received {
  if (batch.length <= SHARED_BYTES) return new Received(batch, at, length);
  return new Received(Buffer.from(batch.subarray(at, at + RECORD.size + length)), 0, length);
}

class NativeDatagrams implements Datagrams {
  readonly #set: DatagramSet;
  readonly #handlers: DatagramHandlers;
  readonly #outgoing = Buffer.alloc(OUTGOING_BYTES);
  #used = 0;
  #flushing = false;
  #closed = false;

  constructor(handlers: DatagramHandlers) {
    this.#handlers = handlers;
    this.#set = native().datagramsOpen();
    native().datagramsWatch(this.#set, () => this.#read());
  }

  bind(address: string, port: number): { socket: number; port: number } {
    return native().datagramsBind(this.#set, address, port, RECEIVE_BYTES);
  }

  adopt(fd: number): { socket: number; port: number } {
    return native().datagramsAdopt(this.#set, fd, RECEIVE_BYTES);
  }

  connect(address: string, port: number): number {
    return native().datagramsConnect(this.#set, address, port, RECEIVE_BYTES);
  }

  send(socket: number, payload: Uint8Array): void {
    const at = this.#reserve(payload);
    this.#outgoing.fill(0, at, at + RECORD.size);
    this.#outgoing.writeUInt32LE(socket, at + RECORD.socket);
    this.#outgoing.writeUInt32LE(payload.length, at + RECORD.length);
  }

  reply(to: Datagram, payload: Uint8Array): void {
    const at = this.#reserve(payload);
    (to as Received).writeHead(this.#outgoing, at);
    this.#outgoing.writeUInt32LE(payload.length, at + RECORD.length);
  }

  remove(socket: number): void {
    if (this.#closed) return;
    this.#flush();
    native().datagramsRemove(this.#set, socket);
  }

  dropped(socket: number): number {
    return native().datagramsDropped(this.#set, socket);
  }

  close(): void {
    this.#closed = true;
    native().datagramsClose(this.#set);
  }

  /** Puts a payload into the batch and gives the place of its head. */
  #reserve(payload: Uint8Array): number {
    const size = RECORD.size + Math.ceil(payload.length / 8) * 8;
    if (this.#used + size > OUTGOING_BYTES) this.#flush();
    const at = this.#used;
    this.#outgoing.set(payload, at + RECORD.size);
    this.#used += size;
    if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(() => {
        this.#flushing = false;
        this.#flush();
      });
    }
    return at;
  }

  #flush(): void {
    if (this.#used === 0 || this.#closed) return;
    const batch = this.#outgoing.subarray(0, this.#used);
    this.#used = 0;
    const failures = native().datagramsSend(this.#set, batch);
    for (let at = 0; failures && at < failures.length; at += 8) {
      this.#handlers.failed(failures.readUInt32LE(at), errnoName(failures.readUInt32LE(at + 4)));
    }
  }

  /** One batch a turn of the loop; what is left wakes it again. */
  #read(): void {
    const batch = native().datagramsReceive(this.#set);
    for (let at = 0; at < batch.length && !this.#closed; ) {
      const length = batch.readUInt32LE(at + RECORD.length);
      const error = batch.readUInt32LE(at + RECORD.error);
      if (error === 0) this.#handlers.message(received(batch, at, length));
      else this.#handlers.failed(batch.readUInt32LE(at + RECORD.socket), errnoName(error));
      at += RECORD.size + Math.ceil(length / 8) * 8;
    }
  }
}

/** A set of UDP sockets in the addon (native/datagram.c). It keeps the process alive until it is closed. */
export function openDatagrams(handlers: DatagramHandlers): Datagrams {
  return new NativeDatagrams(handlers);
}

function errnoName(errno: number): string {
  return ERRNO_NAMES.get(errno) ?? String(errno);
}
