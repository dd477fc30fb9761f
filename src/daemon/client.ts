import { connect, type Socket } from 'node:net';
import type { StreamMessage } from './answers.ts';
import type { ApiError } from './contract.ts';
import { AnswerFault, AnswerReader } from './http-answer.ts';
import { EventDecoder } from './sse.ts';

const DEFAULT_SOCKET = '/run/acyclic/acyclic.sock';
const SOCKET_VARIABLE = 'ACYCLIC_SOCKET';

const REQUEST_TIMEOUT_MS = 30_000;
/** The daemon says something at least every 15 s. */
const SILENCE_MS = 45_000;
const MOST_ANSWER = 64 << 20;
/** What a connection says that the other end has let go of. */
const CUT = new Set(['ECONNRESET', 'EPIPE', 'EAGAIN', 'ERR_STREAM_PREMATURE_CLOSE']);

/** Why there is no answer of the daemon; docs/errors.md explains each. */
export type ClientFailureCode = 'no-daemon' | 'daemon-refused' | 'daemon-silent' | 'daemon-gone';

/** The daemon cannot be asked. */
export class ClientFailure extends Error {
  override readonly name = 'ClientFailure';
  readonly code: ClientFailureCode;
  /** What to do next; one sentence. */
  readonly remedy: string;

  constructor(code: ClientFailureCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.remedy = remedy;
  }
}

/** The daemon was asked, and answered with an error. */
export class DaemonAnswer extends Error {
  override readonly name = 'DaemonAnswer';
  /** Of docs/api.md or docs/errors.md. */
  readonly code: string;
  readonly remedy: string | null;
  /** HTTP status. */
  readonly status: number;

  constructor(status: number, { code, message, remedy }: ApiError['error']) {
    super(message);
    this.status = status;
    this.code = code;
    this.remedy = remedy;
  }
}

export interface RequestOptions {
  readonly body?: object;
  readonly timeoutMs?: number;
  /** Gives the answer up. */
  readonly signal?: AbortSignal;
}

/** The socket of the daemon: as given, as the environment has it, or in its usual place. */
export function socketPath(given: string | null): string {
  return given ?? (process.env[SOCKET_VARIABLE] || DEFAULT_SOCKET);
}

/** Whether somebody said which socket it is: then it has to be there. */
export function isSocketNamed(given: string | null): boolean {
  return given !== null || Boolean(process.env[SOCKET_VARIABLE]);
}

/** Speaks to the daemon. Each request is a connection of its own, which on this host costs next to nothing. */
export class Client {
  readonly #path: string;

  /** `path`: of the daemon's socket. */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * The answer to one request; null where it has no body. `T` is the type in answers.ts for that route. Throws
   * ClientFailure and DaemonAnswer.
   */
  async request<T>(
    method: 'GET' | 'POST' | 'DELETE',
    route: string,
    options: RequestOptions = {},
  ): Promise<T> {
    const { body, timeoutMs = REQUEST_TIMEOUT_MS, signal } = options;
    const socket = this.#send(method, route, body === undefined ? null : JSON.stringify(body));
    const timer = setTimeout(() => socket.destroy(this.#silent(timeoutMs)), timeoutMs);
    const stop = () => socket.destroy();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      const { status, text } = await this.#readAll(socket);
      if (status >= 400) throw errorOf(status, text);
      return (text === '' ? null : JSON.parse(text)) as T;
    } catch (error) {
      throw this.#explain(error);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      socket.destroy();
    }
  }

  /**
   * The messages of a stream, as `/v1/runs/ID/events`, as they come; it ends when the daemon ends it. `opened` is
   * called once the daemon has agreed: no message is missed from then on. Throws as `request`, and `daemon-gone` when
   * the daemon is no longer there.
   */
  async *events(
    route: string,
    options: { readonly after?: string; readonly signal?: AbortSignal; readonly opened?: () => void } = {},
  ): AsyncGenerator<{ readonly id: string | null; readonly message: StreamMessage }> {
    const { after, signal, opened } = options;
    const socket = this.#send('GET', route, null, after === undefined ? [] : [`Last-Event-ID: ${after}`]);
    const stop = () => socket.destroy();
    signal?.addEventListener('abort', stop, { once: true });
    socket.setTimeout(SILENCE_MS, () => socket.destroy(this.#silent(SILENCE_MS)));
    const reader = new AnswerReader();
    const decoder = new EventDecoder();
    try {
      let told = false;
      let refused = '';
      for await (const bytes of socket) {
        const pieces = reader.push(bytes as Buffer);
        if (reader.status >= 400) {
          refused += Buffer.concat(pieces).toString();
          if (reader.done) throw errorOf(reader.status, refused);
          continue;
        }
        if (!told && reader.status > 0) {
          told = true;
          opened?.();
        }
        for (const piece of pieces)
          for (const { id, data } of decoder.push(piece))
            yield { id, message: JSON.parse(data) as StreamMessage };
        if (reader.done) return;
      }
      if (!signal?.aborted) throw this.#gone();
    } catch (error) {
      if (!signal?.aborted) throw this.#explain(error);
    } finally {
      signal?.removeEventListener('abort', stop);
      socket.destroy();
    }
  }

  #send(method: string, route: string, body: string | null, headers: readonly string[] = []): Socket {
    const socket = connect(this.#path);
    const lines = [`${method} ${route} HTTP/1.1`, 'Host: acyclic', 'Connection: close', ...headers];
    if (body !== null)
      lines.push('Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`);
    return socket;
  }

  async #readAll(socket: Socket): Promise<{ status: number; text: string }> {
    const reader = new AnswerReader();
    const pieces: Buffer[] = [];
    let length = 0;
    try {
      for await (const bytes of socket) {
        for (const piece of reader.push(bytes as Buffer)) {
          length += piece.length;
          if (length > MOST_ANSWER) throw new AnswerFault('it is too long');
          pieces.push(piece);
        }
        if (reader.done) break;
      }
    } catch (error) {
      // A body that is refused is not read to its end: writing fails, and the answer is there all the same.
      if (!reader.done) throw error;
    }
    if (!reader.done) throw this.#gone();
    return { status: reader.status, text: Buffer.concat(pieces).toString() };
  }

  #explain(error: unknown): unknown {
    const { code } = error as NodeJS.ErrnoException;
    const { message } = error as Error;
    if (code === 'ENOENT' || code === 'ECONNREFUSED')
      return new ClientFailure(
        'no-daemon',
        `no daemon answers at ${this.#path}`,
        'start it: systemctl start acyclic, or name its socket with --socket',
        { cause: error },
      );
    if (code === 'EACCES' || code === 'EPERM')
      return new ClientFailure(
        'daemon-refused',
        `you may not use ${this.#path}`,
        'ask to be put into the group acyclic, and log in anew',
        { cause: error },
      );
    if (error instanceof AnswerFault || error instanceof SyntaxError)
      return new ClientFailure(
        'daemon-gone',
        `what answers at ${this.#path} is not the daemon, or a broken one: ${message}`,
        'see acyclic status, and the journal of acyclic',
        { cause: error },
      );
    return CUT.has(code ?? '') ? this.#gone(error) : error;
  }

  #silent(ms: number): ClientFailure {
    return new ClientFailure(
      'daemon-silent',
      `the daemon at ${this.#path} said nothing for ${ms / 1000} s`,
      'see acyclic status, and the journal of acyclic',
    );
  }

  #gone(cause?: unknown): ClientFailure {
    return new ClientFailure(
      'daemon-gone',
      `the daemon at ${this.#path} ended the connection before its answer was complete`,
      'see acyclic status, and the journal of acyclic',
      { cause },
    );
  }
}

function errorOf(status: number, text: string): DaemonAnswer {
  try {
    return new DaemonAnswer(status, (JSON.parse(text) as ApiError).error);
  } catch {
    return new DaemonAnswer(status, {
      code: 'internal',
      message: `the daemon answered ${status}`,
      remedy: null,
    });
  }
}
