import type { OpenDatagrams } from '../model/datagrams.ts';
import { EDE, type ExtendedError, RCODE, rcodeName } from '../wire/dns-code.ts';
import { withId } from '../wire/dns-encode.ts';
import type { Query } from '../wire/dns-query.ts';
import { TcpAsker } from './ask-tcp.ts';
import { UdpAsker } from './ask-udp.ts';
import { type Answered, type Asked, type Problem, type Server, serverName } from './exchange.ts';
import { Shunned } from './shunned.ts';

export type { Answered };

/** No server could answer. */
export interface Unanswered {
  readonly ede: ExtendedError;
}

export interface Patience {
  /** Milliseconds each server is waited for before the next is asked. */
  readonly timeoutMs: number;
  /** Milliseconds one query may take in all. */
  readonly budgetMs: number;
  /** Milliseconds between two tries of a server that is silent. */
  readonly tryEveryMs: number;
}

type Transport = 'udp' | 'tcp';

/** A query under way. */
interface Flight extends Asked {
  readonly transport: Transport;
  readonly deadline: number;
}

/** A server that says one of these says nothing about the name: the next may know better. */
const NOT_AN_ANSWER: ReadonlySet<number> = new Set([RCODE.SERVFAIL, RCODE.NOTIMP, RCODE.REFUSED]);

/**
 * Asks name servers in order until one answers. Forwards the client's bytes as they are, under an id of its own.
 * Of equal questions under way only one is asked: a forger could match any of them (RFC 5452 §5).
 */
export class Upstream {
  readonly #patience: Patience;
  readonly #servers: Shunned;
  readonly #udp: UdpAsker;
  readonly #tcp = new TcpAsker();
  /** By name, so that equal ones are found. */
  readonly #flights = new Map<string, { flight: Flight; answer: Promise<Answered | Unanswered> }[]>();
  #closed = false;

  constructor(servers: readonly Server[], patience: Patience, openDatagrams: OpenDatagrams) {
    this.#servers = new Shunned(servers, patience.tryEveryMs);
    this.#patience = patience;
    this.#udp = new UdpAsker(openDatagrams);
  }

  /** Asks over the transport the client used; an answer cut short over UDP is fetched over TCP. Never rejects. */
  ask(query: Query, packet: Uint8Array, transport: Transport): Promise<Answered | Unanswered> {
    const flights = this.#flights.get(query.name) ?? [];
    const equal = flights.find(
      ({ flight }) => flight.transport === transport && isEqual(flight.packet, packet),
    );
    if (equal !== undefined) return equal.answer.then((answer) => answerTo(query, answer));
    const flight = { query, packet, transport, deadline: performance.now() + this.#patience.budgetMs };
    const answer = this.#fly(flight);
    flights.push({ flight, answer });
    this.#flights.set(query.name, flights);
    return answer;
  }

  /** No question is under way. */
  get idle(): boolean {
    return this.#flights.size === 0;
  }

  /** Ends what is under way; later questions are not asked. */
  close(): void {
    this.#closed = true;
    this.#udp.close();
    this.#tcp.close();
  }

  async #fly(flight: Flight): Promise<Answered | Unanswered> {
    try {
      return await this.#askInOrder(flight);
    } finally {
      const { name } = flight.query;
      const others = this.#flights.get(name)?.filter((one) => one.flight !== flight) ?? [];
      if (others.length > 0) this.#flights.set(name, others);
      else this.#flights.delete(name);
    }
  }

  async #askInOrder(flight: Flight): Promise<Answered | Unanswered> {
    const problems = new Map<Server, Problem>();
    let explained: Answered | null = null;
    for (const server of this.#servers.due()) void this.#tryOut(server, flight);
    let servers = this.#servers.inOrder();
    for (let round = 0; round < 2; round++) {
      for (const [position, server] of servers.entries()) {
        const left = flight.deadline - performance.now();
        if (this.#closed || left <= 0) break;
        // Nobody comes after the second round, so it waits as long as it can.
        const timeoutMs = round === 0 ? this.#patience.timeoutMs : left / (servers.length - position);
        const result = await this.#askServer(server, flight, Math.min(timeoutMs, left));
        if (!('kind' in result)) {
          this.#servers.heardFrom(server);
          const { rcode, lame, ede } = result.response;
          if (!lame && !NOT_AN_ANSWER.has(rcode)) return result;
          if (rcode === RCODE.SERVFAIL && ede !== null) explained ??= result;
          const text = lame ? 'does not serve this name (lame)' : `answered ${rcodeName(rcode)}`;
          problems.set(server, { kind: 'answer', text });
        } else {
          problems.set(server, result);
          if (isSilence(result)) this.#servers.shun(server);
        }
      }
      // A lost datagram deserves a second try; what a server said does not change.
      servers = servers.filter((server) => problems.get(server)?.kind === 'timeout');
    }
    return explained ?? unanswered(problems);
  }

  /** Asks a shunned server what another is asked anyway, so that nobody waits for one that is still silent. */
  async #tryOut(server: Server, flight: Flight): Promise<void> {
    const result = await this.#askServer(server, flight, this.#patience.timeoutMs);
    if ('kind' in result && isSilence(result)) this.#servers.shun(server);
    else this.#servers.heardFrom(server);
  }

  async #askServer(server: Server, flight: Flight, timeoutMs: number): Promise<Answered | Problem> {
    const { transport, deadline } = flight;
    const ask = (over: Transport, ms: number) =>
      (over === 'udp' ? this.#udp : this.#tcp).ask(server, flight, ms);
    const first = await ask(transport, timeoutMs);
    if ('kind' in first) {
      // Servers that speak only UDP are asked that way, on behalf of a client that came by TCP.
      const refused = transport === 'tcp' && first.kind === 'network';
      if (!refused && first.kind !== 'doubtful') return first;
    } else if (!first.response.truncated) return first;
    const other = transport === 'udp' ? 'tcp' : 'udp';
    const second = await ask(other, Math.max(1, Math.min(timeoutMs, deadline - performance.now())));
    if ('kind' in second || !second.response.truncated) return second;
    return { kind: 'answer', text: `cut its answer short over ${other.toUpperCase()}` };
  }
}

/** Whether two messages differ in nothing but their ids. */
function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let at = 2; at < one.length; at++) if (one[at] !== other[at]) return false;
  return true;
}

function answerTo(query: Query, answer: Answered | Unanswered): Answered | Unanswered {
  return 'ede' in answer ? answer : { ...answer, bytes: withId(answer.bytes, query.id) };
}

/** The server itself is at fault, not what it said. */
function isSilence(problem: Problem): boolean {
  return problem.kind === 'timeout' || problem.kind === 'network';
}

function unanswered(problems: ReadonlyMap<Server, Problem>): Unanswered {
  const parts = [...problems].map(([server, problem]) => `${serverName(server)} ${problem.text}`);
  const network = [...problems.values()].some((problem) => problem.kind === 'network');
  const code = network ? EDE.NETWORK_ERROR : EDE.NO_REACHABLE_AUTHORITY;
  return { ede: { code, text: parts.join('; ') } };
}
