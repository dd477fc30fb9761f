import { withId } from '../wire/dns-encode.ts';
import type { Query } from '../wire/dns-query.ts';
import { decodeResponse, type Response } from '../wire/dns-response.ts';

/** A name server to ask. */
export interface Server {
  readonly address: string;
  readonly port: number;
}

/** Why one server gave no answer. */
export interface Problem {
  /** `doubtful`: what came may be forged; a connection to the server would tell. */
  readonly kind: 'timeout' | 'network' | 'answer' | 'doubtful';
  /** For people, to follow the server's name: `did not answer in 1200 ms`. */
  readonly text: string;
}

/** A server's answer to a query. */
export interface Answered {
  /** As received, the client's id put back. */
  readonly bytes: Uint8Array;
  readonly response: Response;
  /** `10.0.0.2:53` */
  readonly server: string;
}

/** A query on its way to servers. */
export interface Asked {
  readonly query: Query;
  /** The client's bytes; their id is replaced. */
  readonly packet: Uint8Array;
}

/** Ends an exchange with its one result; the first call counts. */
export type Settle = (result: Answered | Problem) => void;

/** `10.0.0.2:53`, `[2001:db8::1]:53`. */
export function serverName({ address, port }: Server): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Reads a message that is known to answer the query. */
export function readAnswer(message: Uint8Array, { query }: Asked, server: Server): Answered | Problem {
  const response = decodeResponse(message, query);
  if ('fault' in response) return { kind: 'answer', text: `gave a bad answer: ${response.text}` };
  return { bytes: withId(message, query.id), response, server: serverName(server) };
}

export const CLOSING: Problem = { kind: 'network', text: 'was not waited for: the proxy is closing' };

export function timeoutProblem(timeoutMs: number): Problem {
  return { kind: 'timeout', text: `did not answer in ${Math.round(timeoutMs)} ms` };
}

export function networkProblem(code: string): Problem {
  return { kind: 'network', text: `cannot be reached (${code})` };
}
