/** One message of an event stream (text/event-stream), as both ends have it. */
export interface StreamEvent {
  readonly id: string | null;
  /** Without line breaks. */
  readonly data: string;
}

/** Keeps a connection from looking dead. */
export const HEARTBEAT = ': alive\n\n';

export function encodeEvent({ id, data }: StreamEvent): string {
  return id === null ? `data: ${data}\n\n` : `id: ${id}\ndata: ${data}\n\n`;
}

const LONGEST_LINE = 1 << 20;

/** Reads a stream as `encodeEvent` writes it, as its bytes come. */
export class EventDecoder {
  readonly #text = new TextDecoder('utf-8', { fatal: true });
  #rest = '';
  #id: string | null = null;
  #data: string | null = null;

  /** Throws SyntaxError for a line that is too long, or is no UTF-8. */
  push(bytes: Uint8Array): StreamEvent[] {
    try {
      this.#rest += this.#text.decode(bytes, { stream: true });
    } catch (error) {
      throw new SyntaxError('the stream is no UTF-8', { cause: error });
    }
    const lines = this.#rest.split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LONGEST_LINE) throw new SyntaxError('a line of the stream is too long');
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): StreamEvent[] {
    if (line.startsWith('id: ')) this.#id = line.slice(4);
    if (line.startsWith('data: ')) this.#data = line.slice(6);
    if (line !== '' || this.#data === null) return [];
    const event = { id: this.#id, data: this.#data };
    this.#id = null;
    this.#data = null;
    return [event];
  }
}
