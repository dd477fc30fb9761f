import type { Datagram, Datagrams, OpenDatagrams } from '../model/datagrams.ts';
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
import { RandomIds } from './random-ids.ts';

/** Source ports that ask one server at the same time. */
const MAX_PORTS = 8;
/** Questions one source port asks. */
const MAX_QUESTIONS = 64;
/** Milliseconds a source port asks new questions. */
const ASKS_FOR_MS = 100;
/** Wrong messages one source port takes: each is a guess (RFC 5452 §9.3). */
const MAX_WRONG = 32;
/** A datagram that had no room somewhere is a lost one: the question is asked again when its time is up. */
const LOST: ReadonlySet<string> = new Set(['EAGAIN', 'ENOBUFS', 'ENOMEM']);

interface Waiting {
  readonly asked: Asked;
  readonly settle: Settle;
}

/** A socket on a random port, connected to one server, and the questions it has asked. */
interface Source {
  readonly socket: number;
  readonly server: Server;
  readonly until: number;
  /** By id. Null: answered or given up; the id is not used again here, and what still comes for it is late. */
  readonly asked: Map<number, Waiting | null>;
  waiting: number;
  wrong: number;
}

/**
 * Asks over UDP. A question has a source port of its own, unless so many are under way that they share a few.
 *
 * What keeps a forger out (RFC 5452 §4, §9): the socket is connected, so only datagrams that claim the server's
 * address and port reach it; its port is the kernel's random choice (some 28,000: 14.8 bits), seen by nobody but
 * the server; each question has a random id (16 bits) no other question of that port has; and the message must
 * repeat the question. A forged datagram is taken with a chance of D / (28,000 × 65,536), where D is how many
 * times the very same question is under way; the caller keeps D at one (Upstream joins equal questions). Sharing a
 * port adds nothing to that chance, since the id of another question is wrong for this one. It would help a forger
 * who can learn a port while it is in use: so one is closed when it has nothing to wait for, and asks for a tenth
 * of a second and 64 questions at most; and which of eight a question leaves from is random too.
 *
 * Wrong messages are passed over, late ones too. At the 33rd a port is given up and its questions are `doubtful`,
 * as is an answer whose question comes back in other letters' case: those are to be asked over TCP.
 */
export class UdpAsker {
  readonly #datagrams: Datagrams;
  readonly #random = new RandomIds();
  readonly #sources = new Map<number, Source>();
  /** Those that still ask, by server. */
  readonly #asking = new Map<Server, Source[]>();

  constructor(openDatagrams: OpenDatagrams) {
    this.#datagrams = openDatagrams({
      message: (datagram) => this.#heard(datagram),
      failed: (socket, code) => this.#failed(socket, code),
    });
  }

  ask(server: Server, asked: Asked, timeoutMs: number): Promise<Answered | Problem> {
    return new Promise((resolve) => {
      const source = this.#sourceFor(server);
      if ('kind' in source) {
        resolve(source);
        return;
      }
      let id = this.#random.next();
      while (source.asked.has(id)) id = this.#random.next();
      const settle: Settle = (result) => {
        if (source.asked.get(id) !== waiting) return;
        clearTimeout(timer);
        source.asked.set(id, null);
        source.waiting -= 1;
        if (source.waiting === 0) this.#close(source);
        resolve(result);
      };
      const timer = setTimeout(() => settle(timeoutProblem(timeoutMs)), timeoutMs);
      const waiting = { asked, settle };
      source.asked.set(id, waiting);
      source.waiting += 1;
      this.#datagrams.send(source.socket, withId(asked.packet, id));
    });
  }

  /** Ends what is under way. */
  close(): void {
    for (const source of [...this.#sources.values()]) this.#giveUp(source, CLOSING);
    this.#datagrams.close();
  }

  #sourceFor(server: Server): Source | Problem {
    const now = performance.now();
    const asking = this.#asking.get(server) ?? [];
    this.#asking.set(server, asking);
    if (asking.length === MAX_PORTS) {
      const source = asking[this.#random.next() % MAX_PORTS] as Source;
      if (now < source.until && source.asked.size < MAX_QUESTIONS) return source;
      this.#retire(source);
    }
    try {
      const socket = this.#datagrams.connect(server.address, server.port);
      const source = { socket, server, until: now + ASKS_FOR_MS, asked: new Map(), waiting: 0, wrong: 0 };
      this.#sources.set(socket, source);
      asking.push(source);
      return source;
    } catch (error) {
      return networkProblem(error instanceof Error && 'code' in error ? String(error.code) : String(error));
    }
  }

  #heard({ socket, payload }: Datagram): void {
    const source = this.#sources.get(socket);
    if (source === undefined) return;
    const id = payload.length < 2 ? -1 : payload.readUInt16BE(0);
    const waiting = source.asked.get(id);
    if (waiting === null) return;
    const match = waiting === undefined ? 'no' : matchAnswer(payload, waiting.asked.query, id);
    if (match === 'yes') waiting?.settle(readAnswer(payload, waiting.asked, source.server));
    else if (match === 'other-case') {
      waiting?.settle({ kind: 'doubtful', text: "answered in other letters' case" });
    } else if (++source.wrong > MAX_WRONG) {
      this.#giveUp(source, { kind: 'doubtful', text: 'was drowned in wrong answers' });
    }
  }

  #failed(socket: number, code: string): void {
    const source = this.#sources.get(socket);
    if (source !== undefined && !LOST.has(code)) this.#giveUp(source, networkProblem(code));
  }

  /** Ends every question of a source, and so the source. */
  #giveUp(source: Source, problem: Problem): void {
    for (const waiting of source.asked.values()) waiting?.settle(problem);
  }

  /** The source asks no more; it goes with its last question. */
  #retire(source: Source): void {
    const asking = this.#asking.get(source.server) ?? [];
    const at = asking.indexOf(source);
    if (at >= 0) asking.splice(at, 1);
  }

  #close(source: Source): void {
    this.#retire(source);
    this.#sources.delete(source.socket);
    this.#datagrams.remove(source.socket);
  }
}
