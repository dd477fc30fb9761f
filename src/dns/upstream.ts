import { randomInt } from 'node:crypto';
import { EDE, type ExtendedError, RCODE, rcodeName } from '../wire/dns-code.ts';
import { withId } from '../wire/dns-encode.ts';
import type { Query } from '../wire/dns-query.ts';
import { answersQuery, decodeResponse, type Response } from '../wire/dns-response.ts';
import { askTcp, askUdp, type Problem, type Server } from './exchange.ts';

/** A server's answer to a query. */
export interface Answered {
  /** As received, the client's id put back. */
  readonly bytes: Uint8Array;
  readonly response: Response;
  /** `10.0.0.2:53` */
  readonly server: string;
}

/** No server could answer. */
export interface Unanswered {
  readonly ede: ExtendedError;
}

/** Milliseconds one query may take in all: clients give up after five seconds. */
const BUDGET_MS = 4500;
/** Milliseconds a server that was silent is asked after the others. */
const SHUN_MS = 10_000;
/** A server that says one of these says nothing about the name: the next may know better. */
const NOT_AN_ANSWER: ReadonlySet<number> = new Set([RCODE.SERVFAIL, RCODE.NOTIMP, RCODE.REFUSED]);

/** Asks name servers in order until one answers. Forwards the client's bytes as they are, under an id of its own. */
export class Upstream {
  readonly #servers: readonly Server[];
  readonly #timeoutMs: number;
  readonly #shunnedUntil = new Map<Server, number>();
  readonly #open = new Set<() => void>();
  #closed = false;

  /** @param timeoutMs how long each server is waited for. */
  constructor(servers: readonly Server[], timeoutMs: number) {
    this.#servers = servers;
    this.#timeoutMs = timeoutMs;
  }

  /** Asks over the transport the client used; an answer cut short over UDP is fetched over TCP. Never rejects. */
  async ask(query: Query, packet: Uint8Array, transport: 'udp' | 'tcp'): Promise<Answered | Unanswered> {
    const deadline = performance.now() + BUDGET_MS;
    const problems = new Map<Server, Problem>();
    let explained: Answered | null = null;
    let servers = this.#inOrder();
    for (let round = 0; round < 2; round++) {
      for (const server of servers) {
        if (this.#closed || performance.now() >= deadline) break;
        const result = await this.#askServer(server, { query, packet, transport, deadline });
        if (!('kind' in result)) {
          this.#shunnedUntil.delete(server);
          const { rcode, lame, ede } = result.response;
          if (!lame && !NOT_AN_ANSWER.has(rcode)) return result;
          if (rcode === RCODE.SERVFAIL && ede !== null) explained ??= result;
          const text = lame ? 'does not serve this name (lame)' : `answered ${rcodeName(rcode)}`;
          problems.set(server, { kind: 'answer', text });
        } else {
          problems.set(server, result);
          if (result.kind !== 'answer') this.#shunnedUntil.set(server, performance.now() + SHUN_MS);
        }
      }
      // A lost datagram deserves a second try; what a server said does not change.
      servers = servers.filter((server) => problems.get(server)?.kind === 'timeout');
    }
    return explained ?? unanswered(problems);
  }

  /** Ends what is under way; later questions are not asked. */
  close(): void {
    this.#closed = true;
    for (const cancel of [...this.#open]) cancel();
  }

  #inOrder(): readonly Server[] {
    if (this.#shunnedUntil.size === 0) return this.#servers;
    const now = performance.now();
    const shunned = (server: Server): boolean => (this.#shunnedUntil.get(server) ?? 0) > now;
    return [...this.#servers.filter((s) => !shunned(s)), ...this.#servers.filter(shunned)];
  }

  async #askServer(
    server: Server,
    asked: { query: Query; packet: Uint8Array; transport: 'udp' | 'tcp'; deadline: number },
  ): Promise<Answered | Problem> {
    const first = await this.#askOver(asked.transport, server, asked);
    const other = asked.transport === 'udp' ? 'tcp' : 'udp';
    if ('kind' in first) {
      // Servers that speak only UDP are asked that way, on behalf of a client that came by TCP.
      return asked.transport === 'tcp' && first.kind === 'network'
        ? this.#whole(other, server, asked)
        : first;
    }
    return first.response.truncated ? this.#whole(other, server, asked) : first;
  }

  async #whole(
    transport: 'udp' | 'tcp',
    server: Server,
    asked: { query: Query; packet: Uint8Array; deadline: number },
  ): Promise<Answered | Problem> {
    const result = await this.#askOver(transport, server, asked);
    if ('kind' in result || !result.response.truncated) return result;
    return { kind: 'answer', text: `cut its answer short over ${transport.toUpperCase()}` };
  }

  async #askOver(
    transport: 'udp' | 'tcp',
    server: Server,
    asked: { query: Query; packet: Uint8Array; deadline: number },
  ): Promise<Answered | Problem> {
    const { query } = asked;
    const id = randomInt(0x10000);
    const ask = transport === 'udp' ? askUdp : askTcp;
    const bytes = await ask({
      server,
      packet: withId(asked.packet, id),
      accepts: (message) => answersQuery(message, query, id),
      timeoutMs: Math.max(1, Math.min(this.#timeoutMs, asked.deadline - performance.now())),
      open: this.#open,
    });
    if ('kind' in bytes) return bytes;
    const response = decodeResponse(bytes, query);
    if ('fault' in response) return { kind: 'answer', text: `gave a bad answer: ${response.text}` };
    return { bytes: withId(bytes, query.id), response, server: serverName(server) };
  }
}

/** `10.0.0.2:53`, `[2001:db8::1]:53`. */
function serverName(server: Server): string {
  const { address, port } = server;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function unanswered(problems: ReadonlyMap<Server, Problem>): Unanswered {
  const parts = [...problems].map(([server, problem]) => `${serverName(server)} ${problem.text}`);
  const network = [...problems.values()].some((problem) => problem.kind === 'network');
  const code = network ? EDE.NETWORK_ERROR : EDE.NO_REACHABLE_AUTHORITY;
  return { ede: { code, text: parts.join('; ') } };
}
