import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { FrameReader, frame } from './frame.ts';

/** A name server to ask. */
export interface Server {
  readonly address: string;
  readonly port: number;
}

/** Why one server gave no answer. */
export interface Problem {
  readonly kind: 'timeout' | 'network' | 'answer';
  /** For people, to follow the server's name: `did not answer in 1200 ms`. */
  readonly text: string;
}

/** One question to one server over one transport. */
export interface Exchange {
  readonly server: Server;
  readonly packet: Uint8Array;
  /** Whether a message is the answer; others are passed over. */
  readonly accepts: (message: Uint8Array) => boolean;
  readonly timeoutMs: number;
  /** Holds a function that ends the exchange for as long as it lasts. */
  readonly open: Set<() => void>;
}

const MAX_MESSAGE = 65_535;
/** Wrong answers on one port before it is given up: each one is a guess at the id (RFC 5452 §9.3). */
const MAX_WRONG = 32;

/** Asks over a UDP socket of its own, so on a source port the kernel picks at random, deaf to other senders. */
export function askUdp(exchange: Exchange): Promise<Uint8Array | Problem> {
  const { server, packet, accepts } = exchange;
  return new Promise((resolve) => {
    const type = isIPv6(server.address) ? 'udp6' : 'udp4';
    const socket = createSocket({ type, lookup: literal });
    const finish = settleOnce(exchange, resolve, () => socket.close());
    let wrong = 0;
    socket.on('error', (error) => finish(networkProblem(error)));
    socket.on('message', (message) => {
      if (accepts(message)) finish(message);
      else if (++wrong > MAX_WRONG) finish({ kind: 'answer', text: 'was drowned in wrong answers' });
    });
    socket.connect(server.port, server.address, () => {
      if (!finish.done()) socket.send(packet, (error) => error && finish(networkProblem(error)));
    });
  });
}

/** Asks over a TCP connection of its own. */
export function askTcp(exchange: Exchange): Promise<Uint8Array | Problem> {
  const { server, packet, accepts } = exchange;
  return new Promise((resolve) => {
    const socket = connect({ host: server.address, port: server.port, noDelay: true });
    const finish = settleOnce(exchange, resolve, () => socket.destroy());
    const reader = new FrameReader(MAX_MESSAGE);
    socket.on('connect', () => socket.write(frame(packet)));
    socket.on('error', (error) => finish(networkProblem(error)));
    socket.on('close', () => finish({ kind: 'network', text: 'closed the connection' }));
    socket.on('data', (chunk) => {
      const messages = reader.push(chunk);
      const answer = messages?.find((message) => accepts(message));
      if (answer !== undefined) finish(answer);
      else if (messages === null || messages.length > 0) {
        finish({ kind: 'answer', text: 'sent something else over TCP' });
      }
    });
  });
}

interface Finish {
  (result: Uint8Array | Problem): void;
  done(): boolean;
}

/** Ends the exchange once: by an answer, a problem, its timeout, or from outside through `open`. */
function settleOnce(
  exchange: Exchange,
  resolve: (result: Uint8Array | Problem) => void,
  release: () => void,
): Finish {
  let done = false;
  const finish = (result: Uint8Array | Problem): void => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    exchange.open.delete(cancel);
    release();
    resolve(result);
  };
  const { timeoutMs } = exchange;
  const timer = setTimeout(() => {
    finish({ kind: 'timeout', text: `did not answer in ${Math.round(timeoutMs)} ms` });
  }, timeoutMs);
  const cancel = (): void => finish({ kind: 'network', text: 'was not waited for: the proxy is closing' });
  exchange.open.add(cancel);
  return Object.assign(finish, { done: () => done });
}

function networkProblem(error: Error): Problem {
  const code = 'code' in error ? String(error.code) : error.message;
  return { kind: 'network', text: `cannot be reached (${code})` };
}

/** Servers are given by address: nothing to look up. */
function literal(
  hostname: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, hostname, isIPv6(hostname) ? 6 : 4);
}
