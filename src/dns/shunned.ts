import type { Server } from './exchange.ts';

/** Name servers in the order given, those that were silent last: until they have answered again. */
export class Shunned {
  readonly #servers: readonly Server[];
  readonly #tryEveryMs: number;
  /** When a silent server is to be tried again. */
  readonly #tryAt = new Map<Server, number>();

  /** @param tryEveryMs between two tries of a server that is silent. */
  constructor(servers: readonly Server[], tryEveryMs: number) {
    this.#servers = servers;
    this.#tryEveryMs = tryEveryMs;
  }

  inOrder(): readonly Server[] {
    if (this.#tryAt.size === 0) return this.#servers;
    const silent = (server: Server): boolean => this.#tryAt.has(server);
    return [...this.#servers.filter((server) => !silent(server)), ...this.#servers.filter(silent)];
  }

  /** Silent servers whose time for a try has come, each once a time. None where all are silent: all are asked then. */
  due(): readonly Server[] {
    if (this.#tryAt.size === 0 || this.#tryAt.size === this.#servers.length) return [];
    const now = performance.now();
    const due = [...this.#tryAt].filter(([, at]) => at <= now).map(([server]) => server);
    for (const server of due) this.#tryAt.set(server, now + this.#tryEveryMs);
    return due;
  }

  shun(server: Server): void {
    this.#tryAt.set(server, performance.now() + this.#tryEveryMs);
  }

  heardFrom(server: Server): void {
    this.#tryAt.delete(server);
  }
}
