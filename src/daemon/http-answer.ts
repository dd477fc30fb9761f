/** An answer is not HTTP as the daemon speaks it. */
export class AnswerFault extends Error {
  override readonly name = 'AnswerFault';
}

const MOST_HEAD = 16 << 10;
const LONGEST_SIZE_LINE = 64;

/** What comes next. `body`: to the end of a Content-Length. */
type State = 'head' | 'body' | 'size' | 'chunk' | 'line end' | 'trailer' | 'done';

/**
 * Reads one HTTP/1.1 answer as its bytes come. Loading `node:http` takes 20 ms of a command's start, and the daemon
 * uses little of HTTP: a head, and a body by Content-Length or in chunks.
 */
export class AnswerReader {
  /** 0 until the head is read. */
  status = 0;
  #rest: Buffer = Buffer.alloc(0);
  #state: State = 'head';
  /** Bytes of the body or of a chunk that are still to come. */
  #left = 0;

  get done(): boolean {
    return this.#state === 'done';
  }

  /** Gives what of the body is in `bytes`. Throws AnswerFault. */
  push(bytes: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const pieces: Buffer[] = [];
    while (this.#step(pieces));
    return pieces;
  }

  /** False: more bytes are needed, or none. */
  #step(pieces: Buffer[]): boolean {
    switch (this.#state) {
      case 'head':
        return this.#readHead();
      case 'body':
      case 'chunk':
        return this.#readBody(pieces);
      case 'size':
        return this.#readSize();
      case 'line end':
        return this.#take('\r\n', 2, () => 'size') !== null;
      case 'trailer':
        return this.#take('\r\n', MOST_HEAD, (line) => (line === '' ? 'done' : 'trailer')) !== null;
      case 'done':
        if (this.#rest.length > 0) throw new AnswerFault('bytes follow the end of the answer');
        return false;
    }
  }

  /** What is before `end`, which then is behind us; null: it is not there yet. */
  #take(end: string, most: number, next: (text: string) => State): string | null {
    const at = this.#rest.indexOf(end);
    if (at < 0 && this.#rest.length <= most) return null;
    if (at < 0 || at > most) throw new AnswerFault('a line is too long');
    const text = this.#rest.toString('latin1', 0, at);
    this.#rest = this.#rest.subarray(at + end.length);
    this.#state = next(text);
    return text;
  }

  #readHead(): boolean {
    const head = this.#take('\r\n\r\n', MOST_HEAD, () => 'body');
    if (head === null) return false;
    const [first = '', ...lines] = head.split('\r\n');
    const status = /^HTTP\/1\.[01] ([2-5]\d\d)(?: |$)/.exec(first)?.[1];
    if (status === undefined) throw new AnswerFault('it does not begin as an answer');
    this.status = Number(status);
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    if (headers.get('transfer-encoding') === 'chunked') {
      this.#state = 'size';
      return true;
    }
    const length = headers.get('content-length') ?? (this.status === 204 ? '0' : '');
    if (!/^\d{1,15}$/.test(length)) throw new AnswerFault('it does not say how long it is');
    this.#left = Number(length);
    this.#state = this.#left === 0 ? 'done' : 'body';
    return true;
  }

  #readSize(): boolean {
    const line = this.#take('\r\n', LONGEST_SIZE_LINE, () => 'chunk');
    if (line === null) return false;
    if (!/^[0-9a-f]{1,8}$/i.test(line)) throw new AnswerFault('a chunk has no size');
    this.#left = Number.parseInt(line, 16);
    if (this.#left === 0) this.#state = 'trailer';
    return true;
  }

  #readBody(pieces: Buffer[]): boolean {
    const piece = this.#rest.subarray(0, this.#left);
    if (piece.length === 0) return false;
    pieces.push(piece);
    this.#left -= piece.length;
    this.#rest = this.#rest.subarray(piece.length);
    if (this.#left === 0) this.#state = this.#state === 'chunk' ? 'line end' : 'done';
    return true;
  }
}
