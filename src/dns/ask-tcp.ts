import { connect } from 'node:net';
import { withId } from '../wire/dns-encode.ts';
import { matchAnswer } from '../wire/dns-response.ts';
import {
  type Answered,
  type Asked,
  CLOSING,
  networkProblem,
  type Problem,
  readAnswer,
  type Server,
  type Settle,
  timeoutProblem,
} from './exchange.ts';
import { FrameReader, frame } from './frame.ts';
import { RandomIds } from './random-ids.ts';

const MAX_MESSAGE = 65_535;

/** Asks over TCP, each question on a connection of its own: who has not seen its numbers cannot speak in it. */
export class TcpAsker {
  readonly #ids = new RandomIds();
  readonly #open = new Set<(result: Problem) => void>();

  ask(server: Server, asked: Asked, timeoutMs: number): Promise<Answered | Problem> {
    const id = this.#ids.next();
    return new Promise((resolve) => {
      const socket = connect({ host: server.address, port: server.port, noDelay: true });
      const finish: Settle = (result) => {
        clearTimeout(timer);
        this.#open.delete(finish);
        socket.destroy();
        resolve(result);
      };
      const timer = setTimeout(() => finish(timeoutProblem(timeoutMs)), timeoutMs);
      this.#open.add(finish);
      const reader = new FrameReader(MAX_MESSAGE);
      socket.on('connect', () => socket.write(frame(withId(asked.packet, id))));
      socket.on('error', (error) =>
        finish(networkProblem('code' in error ? String(error.code) : error.message)),
      );
      socket.on('close', () => finish({ kind: 'network', text: 'closed the connection' }));
      socket.on('data', (chunk) => {
        const messages = reader.push(chunk);
        const answer = messages?.find((message) => matchAnswer(message, asked.query, id) !== 'no');
        if (answer !== undefined) finish(readAnswer(answer, asked, server));
        else if (messages === null || messages.length > 0) {
          finish({ kind: 'answer', text: 'sent something else over TCP' });
        }
      });
    });
  }

  /** Ends what is under way. */
  close(): void {
    for (const finish of [...this.#open]) finish(CLOSING);
  }
}
