import type { ServerResponse } from 'node:http';
import type { StreamMessage } from './answers.ts';
import type { Bounds } from './bounds.ts';
import { encodeEvent, HEARTBEAT, type StreamEvent } from './sse.ts';

/**
 * An answer that goes on. What its reader does not take waits here, up to a bound; then the stream is cut, and how
 * much of it was not sent is its last message.
 */
export class EventStream {
  readonly #outgoing: ServerResponse;
  readonly #bounds: Pick<Bounds, 'streamBytes' | 'cutMs'>;
  #waiting: string[] = [];
  #bytes = 0;
  #blocked = false;
  /** Set when no more is taken. */
  #ended = false;

  constructor(outgoing: ServerResponse, bounds: Pick<Bounds, 'streamBytes' | 'cutMs'>) {
    this.#outgoing = outgoing;
    this.#bounds = bounds;
    outgoing.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    outgoing.on('drain', () => this.#flow());
    outgoing.on('close', () => {
      this.#ended = true;
      this.#waiting = [];
    });
    // Says that the stream is open: what happens from now on is in it.
    this.#write(HEARTBEAT);
  }

  send(event: StreamEvent): void {
    if (!this.#ended) this.#write(encodeEvent(event));
  }

  /** Keeps the connection from looking dead; a reader that is behind has enough to read. */
  beat(): void {
    if (!this.#ended && !this.#blocked) this.#write(HEARTBEAT);
  }

  /** Ends it once all is sent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#blocked) this.#outgoing.end();
    else this.#hurry();
  }

  #write(text: string): void {
    if (!this.#blocked) {
      this.#blocked = !this.#outgoing.write(text);
      return;
    }
    this.#waiting.push(text);
    this.#bytes += Buffer.byteLength(text);
    if (this.#bytes > this.#bounds.streamBytes) this.#cut();
  }

  #flow(): void {
    this.#blocked = false;
    let sent = 0;
    for (const text of this.#waiting) {
      sent += 1;
      this.#bytes -= Buffer.byteLength(text);
      this.#blocked = !this.#outgoing.write(text);
      if (this.#blocked) break;
    }
    this.#waiting.splice(0, sent);
    if (this.#ended && !this.#blocked) this.#outgoing.end();
  }

  #cut(): void {
    const message: StreamMessage = { kind: 'cut', missed: this.#waiting.length };
    this.#waiting = [encodeEvent({ id: null, data: JSON.stringify(message) })];
    this.#ended = true;
    this.#hurry();
  }

  #hurry(): void {
    const timer = setTimeout(() => this.#outgoing.destroy(), this.#bounds.cutMs);
    this.#outgoing.once('close', () => clearTimeout(timer));
  }
}
