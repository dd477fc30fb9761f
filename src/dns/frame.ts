const PREFIX_BYTES = 2;

/** A DNS message as it goes over TCP: two bytes of length, then the message (RFC 1035 §4.2.2). */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed.writeUInt16BE(message.length, 0);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/** Cuts a TCP stream back into messages, however its segments fall. Holds at most one message and one segment. */
export class FrameReader {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #held = 0;
  #wanted = PREFIX_BYTES;

  /** @param limit longest message taken, bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The messages that are whole with this segment. Null when one is empty or over the limit: close the stream. */
  push(chunk: Buffer): Buffer[] | null {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const messages: Buffer[] = [];
    if (this.#held < this.#wanted) return messages;
    const stream = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#held);
    let at = 0;
    for (;;) {
      this.#wanted = PREFIX_BYTES;
      if (stream.length - at < this.#wanted) break;
      const length = stream.readUInt16BE(at);
      if (length === 0 || length > this.#limit) return null;
      this.#wanted = PREFIX_BYTES + length;
      if (stream.length - at < this.#wanted) break;
      messages.push(stream.subarray(at + PREFIX_BYTES, at + this.#wanted));
      at += this.#wanted;
    }
    this.#chunks = at < stream.length ? [stream.subarray(at)] : [];
    this.#held = stream.length - at;
    return messages;
  }
}
